"""StepAssembly: from the messages of a stream back to its steps."""

from __future__ import annotations

from cluster.api.errors import UsageError
from cluster.messages.program import AnyStep
from cluster.messages.step import Float32Array, Microbatch
from cluster.wire.codec.program import ProgramAssembly
from cluster.wire.codec.rows import RowAssembly
from cluster.wire.codec.step.header import StepLimits, decode_header
from protos import stage_pb2


class StepAssembly:
    """Puts the parts of a stream's steps together, one step after the other."""

    def __init__(self, stage_limits: StepLimits) -> None:
        self._limits = stage_limits
        self._program = ProgramAssembly()
        self._batch: Microbatch | None = None
        self._rows: RowAssembly | None = None

    def add(self, message: stage_pb2.StepMessage) -> tuple[AnyStep, Float32Array | None] | None:
        """The step that this message completes, if it does. UsageError leaves the stream unusable."""
        kind = message.WhichOneof("kind")
        if (kind == "program") != self._limits.runs_program:
            raise UsageError("step: of another kind than this stage takes; start both from the same model")
        if kind == "program":
            call = self._program.add(message.program)
            return None if call is None else (call, None)
        if kind == "hello":
            raise UsageError("step: a message that is no part of a step; send Hello once, then steps")
        if kind == "header":
            self._add_header(message.header)
        if self._batch is None:
            raise UsageError("step: hidden rows without a header; send the header first")
        hidden = message.hidden
        if self._rows is not None:
            self._rows.add(hidden)
            if not self._rows.is_complete:
                return None
        elif hidden:
            raise UsageError("hidden: rows that the header did not announce; set hidden_width")
        step = self._batch, None if self._rows is None else self._rows.take()
        self._batch = self._rows = None
        return step

    def _add_header(self, header: stage_pb2.StepHeader) -> None:
        if self._batch is not None:
            raise UsageError("step: a header while rows of the step before are missing; send them first")
        batch = decode_header(header, self._limits)
        if header.hidden_width:
            self._rows = RowAssembly("hidden", batch.num_rows, header.hidden_width)
        self._batch = batch
