"""What a person sees while something runs: moving lines, tables, and text from strangers made harmless."""
