"""Who watches a cluster that is up and repairs it, without anybody typing anything."""
