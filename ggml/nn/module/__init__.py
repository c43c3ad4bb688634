"""The base of every layer: what it owns, by name, how it is called, saved and moved."""
