"""The coordinator of a program: calls in, calls through the stages, results out."""
