"""What a driver of Ray does for a cluster: places actors, wires them, replaces those that died."""
