"""What a cluster that serves a program says and checks."""
