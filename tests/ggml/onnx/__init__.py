"""ONNX: export, import and hostile files."""
