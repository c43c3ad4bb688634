"""What everything rests on: errors, dtypes, devices, memory, and the nodes of the lazy graph."""
