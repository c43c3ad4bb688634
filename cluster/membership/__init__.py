"""How machines become nodes of a cluster, stay it, and leave."""
