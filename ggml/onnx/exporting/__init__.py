"""Modules from here as ONNX files."""
