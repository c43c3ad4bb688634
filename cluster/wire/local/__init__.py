"""Streams between processes of one machine pass their messages over a Unix socket; gRPC keeps the handshake."""
