"""Who belongs to a cluster of several machines: its authority, certificates, join strings and tokens."""
