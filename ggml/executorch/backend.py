"""A part of an edge program as the bytes that the delegate reads."""

from __future__ import annotations

import hashlib
import itertools
import math
from typing import Any

import numpy as np
from executorch.exir._serialize._named_data_store import NamedDataStore
from executorch.exir.backend.backend_details import BackendDetails, PreprocessResult
from executorch.exir.backend.compile_spec_schema import CompileSpec

from ggml.core.dtypes import DType, bool_, dtype_named
from ggml.core.errors import UnsupportedOpError
from ggml.executorch.lowering import program_of
from ggml.ops.create.factories import zeros
from ggml.programs.expressions import extents
from ggml.programs.program import Program
from ggml.programs.recordings.encoding import encode
from ggml.tensors.tensor import Tensor

#: How many shapes one part may have. Each takes some kilobytes for each layer of a model.
MAX_SHAPES = 64

_QUANTIZATION = "quantization"
_ALIGNMENT_BYTES = 64


class GgmlBackend(BackendDetails):  # type: ignore[misc]
    """What ``GgmlPartitioner`` names; ExecuTorch calls it."""

    @staticmethod
    def preprocess(edge_program: Any, compile_specs: list[Any]) -> Any:
        """The recordings of a part, for every shape that its bounds allow; its weights go into the named data.

        UnsupportedOpError where there are more than ``MAX_SHAPES`` of these.
        """
        program = program_of(edge_program, quantization_of(compile_specs))
        for values in _shapes(program):
            users = [one.spec for one in program.graph.users if one.spec is not None]
            program.record(*[zeros(extents(spec.shape, values), dtype=spec.dtype) for spec in users])
        store = NamedDataStore()
        recorded = list(program.recordings.by_shapes.values())
        used = {source for one in recorded for source in one.sources if isinstance(source, str)}
        keys = {name: _stored(store, _bytes(program.weights[name])) for name in sorted(used)}
        memory = _stored(store, program.recordings.memory.array().tobytes())
        return PreprocessResult(
            processed_bytes=encode(recorded, keys, memory), data_store_output=store.get_named_data_store_output()
        )


def specs_of(quantization: DType | None) -> list[Any]:
    """The options of a delegation as ExecuTorch carries them."""
    return [] if quantization is None else [CompileSpec(_QUANTIZATION, quantization.name.encode())]


def quantization_of(specs: list[Any]) -> DType | None:
    """The inverse of ``specs_of``."""
    names = [bytes(spec.value).decode() for spec in specs if spec.key == _QUANTIZATION]
    return dtype_named(names[0]) if names else None


def _shapes(program: Program) -> list[tuple[int, ...]]:
    """The extents of each shape within the bounds of the export."""
    symbols = program.graph.symbols
    ranges = [range(max(symbol.low, 1), symbol.high + 1) for symbol in symbols]
    count = math.prod([len(one) for one in ranges])
    if count > MAX_SHAPES:
        bounds = ", ".join(f"{symbol.name} within [{symbol.low}, {symbol.high}]" for symbol in symbols)
        why = f"{bounds} are more than {MAX_SHAPES} shapes; give torch.export.Dim a smaller max"
        raise UnsupportedOpError("GgmlBackend", "ExecuTorch", why)
    return list(itertools.product(*ranges))


def _stored(store: Any, raw: bytes) -> str:
    """The key of some bytes, which is the same in every part that has them."""
    if not raw:
        return ""
    key = f"ggml.{hashlib.sha256(raw).hexdigest()}"
    store.add_named_data(key, raw, alignment=_ALIGNMENT_BYTES)
    return key


def _bytes(tensor: Tensor) -> bytes:
    if tensor.dtype is bool_:
        return tensor.cpu().numpy().astype(np.uint8).tobytes()
    return tensor.raw_bytes()
