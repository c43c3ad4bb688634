"""What `cluster bench` can be asked beside rows of a table: serving, gaps, prefixes, chunks, memory."""
