"""Bytes as recordings, field by field: everything that a native graph takes for granted holds, or there is no graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from google.protobuf.message import DecodeError

from ggml.core import dtypes
from ggml.core.dtypes import PLAIN, DType
from ggml.core.errors import FileFormatError
from ggml.core.node import MAX_RANK
from ggml.graph.program import Steps
from ggml.programs.encoding import ROLES
from ggml.programs.graph import Graph, Role
from ggml.programs.recordings.recorded import KEY, MEMORY, VERSION, Range, Recorded, Slot, Source
from ggml.programs.recordings.sizes import MAX_ELEMENTS, input_sizes
from protos import program_pb2 as pb

_ROLES = {ROLES[role]: role for role in (Role.USER, Role.STATE)}
_DTYPES = {dtype.name: dtype for dtype in PLAIN}


def decode(raw: bytes, path: str, graph: Graph, stored: Mapping[str, int], num_shared: int) -> list[Recorded]:
    """Recordings that are sound. ``stored`` has the bytes of each weight and state, ``num_shared`` those of the memory.

    FileFormatError, which names ``path`` and the field, where one is not.
    """
    message = pb.Recordings()
    try:
        message.ParseFromString(raw)
    except DecodeError:
        raise FileFormatError(path, KEY, "is no message of protos/program.proto") from None
    if message.version != VERSION:
        raise FileFormatError(path, f"{KEY}.version", f"is {message.version}; this library reads {VERSION}")
    if message.memory != MEMORY:
        raise FileFormatError(path, f"{KEY}.memory", f"is {message.memory[:40]!r} instead of {MEMORY!r}")
    found = [
        _Decoder(path, f"{KEY}[{place}]", graph, stored, num_shared).recording(one)
        for place, one in enumerate(message.recordings)
    ]
    shapes = [tuple([slot.shape for slot in one.inputs if slot.role is Role.USER]) for one in found]
    if len(set(shapes)) != len(shapes):
        raise FileFormatError(path, KEY, "has the shapes of a call twice")
    return found


class _Decoder:
    """One recording on its way."""

    def __init__(self, path: str, field: str, graph: Graph, stored: Mapping[str, int], num_shared: int) -> None:
        self.path, self.field, self.graph, self.stored, self.num_shared = path, field, graph, stored, num_shared

    def fail(self, field: str, why: str) -> NoReturn:
        raise FileFormatError(self.path, f"{self.field}.{field}", why)

    def recording(self, message: pb.Recording) -> Recorded:
        inputs = self.slots("inputs", message.inputs, [one for one in self.graph.inputs if one.role is not Role.WEIGHT])
        outputs = self.slots("outputs", message.outputs, self.graph.outputs)
        steps = Steps(list(message.names), np.array(message.words, np.int64))
        sizes, num_steps = input_sizes(steps, lambda why: self.fail("words", why))
        if len(sizes) != len(message.sources):
            self.fail("sources", f"are {len(message.sources)} for {len(sizes)} inputs of the native graph")
        for place, one in enumerate(message.outputs):
            if one.step >= num_steps:
                self.fail(f"outputs[{place}]", f"is the step {one.step} of {num_steps}")
            if one.in_place and (one.role != ROLES[Role.STATE] or one.name not in {given.name for given in inputs}):
                self.fail(f"outputs[{place}]", "is written in place, and no state")
        sources = [
            self.source(f"sources[{place}]", one, size, inputs)
            for place, (one, size) in enumerate(zip(message.sources, sizes, strict=True))
        ]
        return Recorded(inputs, outputs, steps, tuple([one.step for one in message.outputs]), tuple(sources))

    def slots(self, field: str, messages: Any, wanted: Sequence[Any]) -> tuple[Slot, ...]:
        """Slots of the graph, in its order; those that are no tensors are left out."""
        found = tuple([self.slot(f"{field}[{place}]", one) for place, one in enumerate(messages)])
        known = iter([(one.role, one.name) for one in wanted])
        for place, slot in enumerate(found):
            if (slot.role, slot.name) not in known:
                self.fail(f"{field}[{place}]", f"is {slot.name[:40]!r}, which the graph does not have there")
        return found

    def slot(self, field: str, one: pb.Slot) -> Slot:
        role, dtype = _ROLES.get(one.role), _DTYPES.get(one.dtype)
        if role is None or dtype is None:
            self.fail(field, f"has the role {one.role} and the dtype {one.dtype[:40]!r}")
        if len(one.shape) > MAX_RANK or math.prod([max(extent, 1) for extent in one.shape]) > MAX_ELEMENTS:
            self.fail(field, f"has the shape {list(one.shape)[: MAX_RANK + 1]}")
        return Slot(one.name, role, dtype, tuple(one.shape), one.in_place)

    def source(self, field: str, one: pb.Source, size: int, inputs: Sequence[Slot]) -> Source:
        kind = one.WhichOneof("kind")
        if kind == "input":
            if one.input >= len(inputs) or _num_bytes(inputs[one.input]) < size:
                self.fail(field, f"is the input {one.input} of {len(inputs)}, or needs more of it than there is")
            return one.input
        if kind == "tensor":
            if self.stored.get(one.tensor, -1) < size:
                self.fail(field, f"is no tensor of the file with {size} bytes: {one.tensor[:40]!r}")
            return one.tensor
        end = one.range.offset + one.range.num_bytes
        if kind is None or end > self.num_shared or one.range.num_bytes < size:
            self.fail(field, f"is no part of {self.num_shared} bytes that has {size}")
        return Range(one.range.offset, one.range.num_bytes)


def _num_bytes(slot: Slot) -> int:
    """The bytes of a slot on a device."""
    dtype: DType = dtypes.float32 if slot.dtype is dtypes.bool_ else slot.dtype
    return dtype.num_bytes(math.prod(slot.shape))
