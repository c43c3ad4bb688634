"""The one table of operations, and what its rows share: checks of arguments, spellings, results."""
