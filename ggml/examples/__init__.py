"""Programs that train something small from beginning to end, to copy from: ``python -m ggml.examples.NAME``."""
