"""What devices, links and slices cost: measured in child processes, and kept on disk."""
