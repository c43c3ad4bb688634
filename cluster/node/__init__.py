"""This machine: its files, processes, secrets and state, and what the kernel says of them."""
