"""One file for each API: how a body becomes what is asked of a model, and how its events become what is answered."""
