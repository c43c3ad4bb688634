"""Recordings as bytes: the message ``Recordings`` of ``protos/program.proto``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ggml.programs.encoding import ROLES
from ggml.programs.graph import Role
from ggml.programs.recordings.recorded import MEMORY, VERSION, Range, Recorded, Slot, Source
from protos import program_pb2 as pb


def encode(recordings: Iterable[Recorded], stored: Mapping[str, str | None], memory: str = MEMORY) -> bytes:
    """The bytes of recordings, the same each time. ``stored`` has the name in the file of each weight and state,
    ``memory`` is that of what recordings share."""
    messages = [_recording(one, stored) for one in recordings]
    message = pb.Recordings(version=VERSION, recordings=messages, memory=memory)
    return message.SerializeToString(deterministic=True)


def _recording(one: Recorded, stored: Mapping[str, str | None]) -> pb.Recording:
    inputs = [_slot(slot) for slot in one.inputs]
    for given, slot in zip(inputs, one.inputs, strict=True):
        if slot.role is Role.STATE:
            given.tensor = stored[slot.name] or ""
    outputs = [_slot(slot) for slot in one.outputs]
    for given, step in zip(outputs, one.results, strict=True):
        given.step = step
    return pb.Recording(
        inputs=inputs,
        outputs=outputs,
        names=one.steps.names,
        words=one.steps.words.tolist(),
        sources=[_source(source, stored) for source in one.sources],
    )


def _slot(one: Slot) -> pb.Slot:
    return pb.Slot(name=one.name, role=ROLES[one.role], dtype=one.dtype.name, shape=one.shape, in_place=one.in_place)


def _source(source: Source, stored: Mapping[str, str | None]) -> pb.Source:
    if isinstance(source, int):
        return pb.Source(input=source)
    if isinstance(source, str):
        return pb.Source(tensor=stored[source] or "")
    return pb.Source(range=_range(source))


def _range(one: Range) -> pb.Range:
    return pb.Range(offset=one.offset, num_bytes=one.num_bytes)
