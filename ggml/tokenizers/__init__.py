"""Tokenizers that files carry, as the keys that GGUF has for them."""
