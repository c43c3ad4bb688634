"""Stand-ins with real behaviour: simulated stages, clusters on loopback, web servers, tiny models."""
