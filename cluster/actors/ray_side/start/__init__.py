"""How Ray's processes are started, on a head and on a node that joins it."""
