"""Slices on the disk of a node: where bytes come from, how they are written, and what is believed of them."""
