"""ONNX files as modules that run here."""
