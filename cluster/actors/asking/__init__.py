"""What a cluster is asked by the command line: its status, its nodes, its logs."""
