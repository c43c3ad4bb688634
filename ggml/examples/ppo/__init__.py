"""A policy that learns to balance a pole: ``python -m ggml.examples.ppo``."""
