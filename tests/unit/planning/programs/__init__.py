"""Plans for programs."""
