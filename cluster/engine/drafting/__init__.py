"""Tokens that are guessed ahead: where guesses come from, how many are worth their rows, what became of them."""
