"""A step on the wire, packed and framed by hand: it is on the path of every token."""
