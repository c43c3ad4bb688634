"""What an answer may be, as a grammar: of tools, of a schema, or of both, round what the model reasons."""
