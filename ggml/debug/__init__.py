"""For finding out what a graph does: differences between devices, the first NaN, tables and drawings. Expert use."""

from __future__ import annotations

from ggml.debug.compare import compare
from ggml.debug.copying import copied
from ggml.debug.dumping import dot, dump
from ggml.debug.finding import NonFinite, Range, find_nan
from ggml.debug.report import Difference, Report

__all__ = ["Difference", "NonFinite", "Range", "Report", "compare", "copied", "dot", "dump", "find_nan"]
