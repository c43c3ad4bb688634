"""Several hosts on one machine: namespaces on a switch, and what is to be seen from outside of a cluster there."""
