"""Text of a model, as it comes, becomes reasoning, content and calls."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.chat.formats.calls import CallReader
from cluster.chat.formats.channels import read_channels
from cluster.chat.formats.format import ToolFormat
from cluster.chat.formats.mark import Mark
from cluster.chat.formats.part import Part, PartKind
from cluster.chat.formats.reasoning import ReasoningPair
from cluster.chat.formats.table import HARMONY
from cluster.chat.formats.tape import Reading, Tape
from cluster.chat.messages import JsonObject


class Splitter:
    """Of one answer. What it gives does not depend on how the text was cut, but for where parts are cut."""

    def __init__(
        self,
        pair: ReasoningPair | None = None,
        is_reasoning: bool = False,
        form: ToolFormat | None = None,
        parameters: Mapping[str, JsonObject] | None = None,
        prime: str = "",
    ) -> None:
        """
        is_reasoning: the prompt has opened the reasoning already.
        form: of the model. Its calls are looked for if there are `parameters`: the schemas of the tools, by name.
        prime: what the prompt has written of the answer already.
        """
        self._tape = Tape(prime)
        self._reading = self._read(pair, is_reasoning, form, parameters)

    def push(self, text: str) -> list[Part]:
        self._tape.append(text)
        return self._advance()

    def finish(self) -> list[Part]:
        """What was held back, since it could have become something else."""
        self._tape.is_ended = True
        return self._advance()

    def _advance(self) -> list[Part]:
        next(self._reading, None)
        parts, self._tape.parts = self._tape.parts, []
        return parts

    def _read(
        self,
        pair: ReasoningPair | None,
        is_reasoning: bool,
        form: ToolFormat | None,
        parameters: Mapping[str, JsonObject] | None,
    ) -> Reading[None]:
        tape = self._tape
        if form is HARMONY:
            yield from read_channels(tape, parameters is not None)
            return
        if pair is not None:
            opened, closed = Mark(pair.open), Mark(pair.close)
            if is_reasoning or (yield from tape.accept(opened)):
                yield from tape.copy_until((closed,), PartKind.REASONING)
        if form is None:
            yield from tape.copy_until((), PartKind.CONTENT)
            return
        yield from CallReader(tape, form, parameters).read()
