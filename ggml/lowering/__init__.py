"""From nodes to programs: strided values, and the steps that the native graph is built from."""
