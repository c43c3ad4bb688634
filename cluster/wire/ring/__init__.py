"""The streams of a ring of workers: each rank sends to the next one, and receives from the one before."""
