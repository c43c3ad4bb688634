"""Quantised types: tensors, modules and model files, by ggml's own functions.

q = ggml.quantization.quantize(weight, ggml.q4_k)
ggml.quantization.quantize_(model, ggml.q4_k)          # the weights of Linear and Embedding
ggml.quantization.quantize_file("in.gguf", "out.gguf", "Q4_K_M")
"""

from __future__ import annotations

from ggml.quantization.blocks import check, dequantize, needs_imatrix, quantize, types
from ggml.quantization.calibration import Calibrator
from ggml.quantization.files import FileReport, TensorChange, file_types, quantize_file
from ggml.quantization.imatrix import ImportanceMatrix
from ggml.quantization.modules import quantize_
from ggml.quantization.report import Report, TensorReport

__all__ = [
    "Calibrator",
    "FileReport",
    "ImportanceMatrix",
    "Report",
    "TensorChange",
    "TensorReport",
    "check",
    "dequantize",
    "file_types",
    "needs_imatrix",
    "quantize",
    "quantize_",
    "quantize_file",
    "types",
]
