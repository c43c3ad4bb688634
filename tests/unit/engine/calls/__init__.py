"""Calls of programs: which goes next, and what each is told."""
