"""Weights of a program from a GGUF file: mapped where they can be used as they lie, else made of what lies there."""

from __future__ import annotations

import mmap
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError, StateDictError
from ggml.export.gguf_names import Naming
from ggml.io.mapped import Mapped, open_mapped
from ggml.io.reading import path_of, tensors_of
from ggml.ops.create.interop import from_buffer
from ggml.programs.graph import TensorSpec
from ggml.programs.references import Reference
from ggml.tensors.tensor import Tensor


@dataclass(frozen=True)
class Found:
    """The weights by name; ``reference`` has those that lie in the file as they are."""

    tensors: dict[str, Tensor]
    reference: Reference


class GgufWeights:
    """A GGUF file, and what of it is which weight. FileFormatError for a file that is not sound."""

    def __init__(self, path: Any, names: Mapping[str, str] | None) -> None:
        self.path = os.path.realpath(path_of("lower", path))
        self._file: Mapped = open_mapped(self.path, mmap.ACCESS_COPY)
        self._stored = tensors_of(self._file)
        if names is not None and not (
            isinstance(names, Mapping) and all(isinstance(one, str) for pair in names.items() for one in pair)
        ):
            raise DTypeError("lower", "names as a dict of texts", type(names).__name__)
        self._names = dict(names or {})
        lost = sorted(set(self._names.values()) - self._stored.keys())
        if lost:
            raise ArgumentError("lower", "names", f"names what {self.path} does not have: {', '.join(lost)[:200]}")
        self._naming: Naming | None = None

    def of(
        self, specs: Mapping[str, TensorSpec], needed: Collection[str], blocks: Collection[str], known: Collection[str]
    ) -> Found:
        """Those of ``specs`` that the file has. ``needed``: parameters, which it must have. ``blocks``: what may be
        quantised. ``known``: all names of the model.

        ArgumentError for ``names`` that no weight has, StateDictError for what is missing or has another shape.
        """
        strange = sorted(self._names.keys() - set(known))
        if strange:
            raise ArgumentError("lower", "names", f"names no weights of the model: {', '.join(strange)[:200]}")
        places = {name: self._place(name, name in needed) for name in specs}
        missing = sorted(name for name in needed if name in specs and places[name] is None)
        tensors: dict[str, Tensor] = {}
        as_they_are: dict[str, str] = {}
        misfits = []
        for name, place in places.items():
            if place is None:
                continue
            found = self._stored[place]
            if tuple(found.shape) != specs[name].shape:
                misfits.append(f"{name}: {place} {tuple(found.shape)} instead of {specs[name].shape}")
                continue
            tensors[name] = self._as_wanted(place, found, specs[name].dtype, name in blocks)
            if tensors[name] is found:
                as_they_are[name] = place
        if missing or misfits:
            raise StateDictError(self.path, missing, [], misfits, True)
        return Found(tensors, Reference(self.path, as_they_are))

    def _place(self, name: str, is_needed: bool) -> str | None:
        """What the file calls a weight; None for none."""
        if name in self._names or name in self._stored:
            return self._names.get(name, name)
        if not is_needed:  # a buffer or a constant, which llama.cpp has none of
            return None
        if self._naming is None:
            if self._names or "general.architecture" not in self._file.header.metadata:
                return None
            self._naming = Naming(self._file)
        return next((one for one in self._naming.names(name) if one in self._stored), None)

    def _as_wanted(self, place: str, found: Tensor, dtype: DType, may_be_blocks: bool) -> Tensor:
        rows = self._naming.rows(place) if self._naming else None
        if rows is not None and rows.shape[0] == found.shape[0]:
            found = _in_order(found, rows)
        if self._naming is not None and self._naming.adds_one(place):
            found = found.float() - 1
        if found.dtype is dtype or (found.dtype.is_quantized and may_be_blocks):
            return found
        plain = found.float() if found.dtype.is_quantized else found
        result: Tensor = plain.to(dtype)
        result.buffer()
        return result


def _in_order(found: Tensor, rows: Any) -> Tensor:
    """The rows of a tensor in another order, whatever they are made of."""
    raw = np.frombuffer(found.raw_bytes(), np.uint8).reshape(found.shape[0], -1)
    return from_buffer(np.ascontiguousarray(raw[rows]).tobytes(), dtype=found.dtype, shape=tuple(found.shape))
