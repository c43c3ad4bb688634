"""Who takes part in a rehearsal, what is played, and what was seen. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.cutting.model import Model
from cluster.stage.spec import StageSpec

CONTEXT_LENGTH = 256  # tokens per slot


@dataclass(frozen=True, slots=True)
class Cast:
    """The stages of a rehearsal; `specs` name parts of the model, which need not follow one another."""

    model: Model
    specs: tuple[StageSpec, ...]
    use_extra_bufts: bool
    build: str


@dataclass(frozen=True, slots=True)
class Scene:
    """How `num_sequences` are decoded: in one microbatch that has all cores, or in one for each stage."""

    num_sequences: int
    exclusive: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """What a scene took, in milliseconds: medians."""

    steps_ms: tuple[float, ...]  # on each stage
    num_rows: int  # in each of those steps
    round_ms: float  # from a sequence's token to its next one
    start_ms: float  # from requests of one token to the first token of each


@dataclass(frozen=True, slots=True)
class Figures:
    """`raw_ms`: what each stage measured by itself, with nothing around it."""

    raw_ms: tuple[tuple[tuple[int, float], ...], ...]
    watched: tuple[Watched, ...]  # one for each scene
