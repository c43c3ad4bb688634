"""Tiny random mmproj files of families other than LLaVA's."""
