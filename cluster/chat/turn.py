"""A turn that is ready to be asked of a model, and what reads the answers to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cluster.api.prompt import Segments
from cluster.api.sampling import SamplingParams
from cluster.chat.reader import TurnReader


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt with the parameters of each choice."""

    prompt: Segments
    add_special: bool  # whether tokens such as BOS come before the prompt, which has none of its own
    params: tuple[SamplingParams, ...]  # one for each choice
    text: str  # of the prompt
    warnings: tuple[str, ...]  # what of the schemas is not enforced
    make_reader: Callable[[int], TurnReader]

    def reader(self, choice: int) -> TurnReader:
        """What reads the tokens of a choice; a new one for each stream."""
        return self.make_reader(choice)
