"""GGUF files: a validated header reader, the rules for cutting layer slices, and the slice store."""

from __future__ import annotations

from cluster.gguf.boundary import Boundary, boundaries
from cluster.gguf.cut import PlannedTensor, SlicePlan, cut, vocab_header
from cluster.gguf.cuts import CutPlace, cut_places, legal_cuts
from cluster.gguf.entry import StoredSlice
from cluster.gguf.fingerprint import model_hash
from cluster.gguf.header import Header, TensorInfo
from cluster.gguf.reader import read_header
from cluster.gguf.rules import can_truncate
from cluster.gguf.sizes import ModelSizes, model_sizes, trained_context
from cluster.gguf.store import SliceStore
from cluster.gguf.tensor_types import TensorType, tensor_type

__all__ = [
    "Boundary",
    "CutPlace",
    "Header",
    "ModelSizes",
    "PlannedTensor",
    "SlicePlan",
    "SliceStore",
    "StoredSlice",
    "TensorInfo",
    "TensorType",
    "boundaries",
    "can_truncate",
    "cut",
    "cut_places",
    "legal_cuts",
    "model_hash",
    "model_sizes",
    "read_header",
    "tensor_type",
    "trained_context",
    "vocab_header",
]
