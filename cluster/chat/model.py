"""What a model needs for chats: how its prompts are written, and how its answers are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from cluster.api.model import ModelInfo, VocabularyTable
from cluster.api.sampling import SamplingParams
from cluster.chat.formats.control import ControlTokens
from cluster.chat.formats.reasoning import pair_of
from cluster.chat.formats.splitter import Splitter
from cluster.chat.messages import ChatRequest
from cluster.chat.reader import TurnReader
from cluster.chat.seam import Templates
from cluster.chat.turn import Turn


class ChatModel:
    """Made once for a model; threads may share it. `close` ends the process that renders."""

    def __init__(self, info: ModelInfo, vocabulary: VocabularyTable, templates: Templates) -> None:
        self._templates = templates
        self._pair = pair_of(templates.source_text)
        self._control = ControlTokens(vocabulary, info.end_tokens)

    def prepare(self, request: ChatRequest) -> Turn:
        """The prompt and the parameters of a turn. Blocks while the prompt is rendered, at most about two seconds.

        UsageError if the templates refuse the messages, or a schema cannot be enforced; the message begins with the
        name of the field.
        """
        rendered = self._templates.render(request)
        pair = self._pair
        is_reasoning = pair is not None and pair.is_opened_by(rendered.open_tail)
        literals = () if pair is None else (pair.open, pair.close)
        params = replace(request.params, shown_tokens=self._control.within(literals))
        return Turn(
            rendered.segments,
            rendered.add_special,
            tuple(_of_choice(params, choice) for choice in range(request.num_choices)),
            rendered.text,
            (),
            partial(self._reader, is_reasoning),
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        """For people who ask what is made of a chat: JSON values."""
        traits = self._templates.traits
        return {
            "chat_template_source": traits.source,
            "tool_format": "",
            "reasoning": None if self._pair is None else self._pair.id,
        }

    def close(self) -> None:
        self._templates.close()

    def _reader(self, is_reasoning: bool, choice: int) -> TurnReader:
        return TurnReader(choice, Splitter(self._pair, is_reasoning), lambda name, index: f"{name}{index}")


def _of_choice(params: SamplingParams, choice: int) -> SamplingParams:
    """Choices of the same prompt differ by their seeds, which follow each other."""
    return params if params.seed is None else replace(params, seed=(params.seed + choice) % 2**63)
