"""A call of a program on its way, and what it gives <-> their parts."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.api.errors import UsageError
from cluster.messages.program import Arrays, CallFailure, ProgramResult, ProgramStep
from cluster.wire import limits
from cluster.wire.codec.arrays import ArraysAssembly, array_parts
from cluster.wire.codec.record import fields_of, record_of
from cluster.wire.codec.step_id import decode_step_id, step_id_fields
from cluster.wire.limits import check_length, check_range
from protos import stage_pb2


def program_parts(step: ProgramStep | ProgramResult) -> Iterator[stage_pb2.ProgramPart]:
    """The parts of one call, or of its result. Arrays are read while the parts are taken."""
    symbols = step.symbols if isinstance(step, ProgramStep) else ()
    header = stage_pb2.ProgramHeader(id=step_id_fields(step.id), symbols=symbols)
    if step.failure is not None:
        header.failure.CopyFrom(stage_pb2.CallFailure(**fields_of(step.failure)))
    parts = array_parts(step.arrays)
    yield stage_pb2.ProgramPart(header=header, arrays=next(parts))
    for part in parts:
        yield stage_pb2.ProgramPart(arrays=part)


class ProgramAssembly:
    """Puts the parts of a stream's calls together, one call after the other."""

    def __init__(self) -> None:
        self._header: stage_pb2.ProgramHeader | None = None
        self._arrays = ArraysAssembly("array", ())

    @property
    def is_open(self) -> bool:
        """Some of a call's arrays are missing."""
        return self._header is not None

    def add(self, part: stage_pb2.ProgramPart) -> ProgramStep | None:
        """The call that this part completes, if it does. UsageError leaves the stream unusable."""
        if part.HasField("header"):
            if self._header is not None:
                raise UsageError("call: a header while arrays are missing; send them first")
            self._header = part.header
            self._arrays = ArraysAssembly("array", part.arrays.arrays)
        elif self._header is None:
            raise UsageError("call: arrays without a header; send the header first")
        self._arrays.add(part.arrays.data)
        return self._taken(self._header) if self._arrays.is_complete else None

    def _taken(self, header: stage_pb2.ProgramHeader) -> ProgramStep:
        arrays: Arrays = self._arrays.take()
        self._header = None
        check_length("symbols", header.symbols, limits.MAX_SYMBOLS)
        symbols = tuple([check_range("symbols", one, 0, limits.MAX_COUNT) for one in header.symbols])
        failure = None
        if header.HasField("failure"):
            failure = record_of(CallFailure, header.failure, "failure", {"failure.kind": (0, limits.MAX_NAME_CHARS)})
        return ProgramStep(decode_step_id(header.id), symbols, arrays, failure)


def as_result(step: ProgramStep) -> ProgramResult:
    """What comes back has the form of what goes out."""
    return ProgramResult(step.id, step.arrays, step.failure)
