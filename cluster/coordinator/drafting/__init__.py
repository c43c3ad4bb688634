"""A small model that guesses the tokens of a large one, in a process of its own beside the coordinator."""
