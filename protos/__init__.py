"""The wire format: the .proto files and the stubs that `python -m protos.generate` writes from them."""
