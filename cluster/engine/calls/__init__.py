"""Calls of a program: which goes next into the pipeline, and what becomes of each."""
