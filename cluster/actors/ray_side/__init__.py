"""What only Ray's own words can say: its processes, its nodes, its actors and their places."""
