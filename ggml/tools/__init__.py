"""Commands, benchmarks, and what writes the stubs and the pages that the table answers for."""
