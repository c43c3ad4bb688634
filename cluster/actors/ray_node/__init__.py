"""A node of a Ray of our own: a head for one machine alone, a head for several, and machines that joined one."""
