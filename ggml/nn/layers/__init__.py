"""The layers of ``ggml.nn``."""
