"""The coordinator: the engine, the stages that it drives, and the server that clients talk to."""
