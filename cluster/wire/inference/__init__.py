"""The service that clients talk to."""
