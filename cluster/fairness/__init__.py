"""What clients share, each in its turn: queues, threads and time."""
