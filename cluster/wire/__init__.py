"""Dataclass <-> protobuf, and the gRPC streams that carry them. Everything received is checked here."""
