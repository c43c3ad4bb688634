"""The three services by which machines become nodes of a cluster, stay it, and leave: always over TLS."""
