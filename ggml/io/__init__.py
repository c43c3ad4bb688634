"""Tensors in GGUF files, and what the header of such a file says."""
