"""The actors: thin shells around services that know nothing of Ray."""
