"""gRPC itself: channels, servers, addresses, methods, and errors as its statuses."""
