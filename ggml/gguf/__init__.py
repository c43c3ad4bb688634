"""The header of a GGUF file: read, validated to the last field, and written. It needs nothing else of ours."""
