"""The header of a GGUF file: read, validated to the last field, and written."""
