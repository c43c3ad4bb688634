"""Ray: places the processes, supervises them, and takes them down. No other package imports it."""
