"""Events: what the engine is told through its inbox, and what it tells a request's reader."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cluster.api.embedding import Pooling
from cluster.api.errors import ClusterError
from cluster.api.results import TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.messages.pictures import PictureRows
from cluster.messages.stage import Holdings, StageCosts, StageFailure
from cluster.messages.step import Float32Array, StepResult, StepTiming

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogitsRows:
    """Logits of consecutive positions of a logits request. They come in order, in pieces."""

    first: int  # position of the first row
    rows: Float32Array  # [rows, V]
    is_last: bool


@dataclass(frozen=True, slots=True)
class Embedding:
    """The one answer to a request for a vector."""

    vector: Float32Array  # [E], or the scores of a model that ranks; not normalised


Answer = TypeVar("Answer")
Output = TokenEvent | LogitsRows | Embedding | ClusterError

# Called in the engine's thread, in order, once for each output; must not block. If it raises, nobody reads
# any more, and the request is cancelled.
Sink = Callable[[Output], None]


# Writes down what requests are told next, by ticket, before any of them is told. Called in the engine's thread, once
# for all that a step brings; must neither raise nor wait. Last events are left out: nothing comes behind them.
Keep = Callable[[Sequence[tuple[bytes, TokenEvent]]], None]


def keep_nothing(told: Sequence[tuple[bytes, TokenEvent]]) -> None:
    """Where requests end with their engine."""


def is_last(output: Output) -> bool:
    """Nothing follows this output; every request gets exactly one such."""
    match output:
        case TokenEvent():
            return output.finish_reason is not None
        case LogitsRows():
            return output.is_last
        case _:
            return True


def send(sink: Callable[[Answer], None], output: Answer) -> bool:
    """False if the reader is gone. One broken reader must not stop the others, whatever it raises."""
    try:
        sink(output)
    except Exception:
        _log.warning("a reader failed; its request is dropped", exc_info=True)
        return False
    return True


@dataclass(frozen=True, slots=True)
class NewRequest:
    """Set by `Engine.submit`."""

    request_id: int
    tokens: tuple[int, ...]
    params: SamplingParams | None  # None asks for logits, or a vector
    sink: Sink
    arrival_s: float
    client: str = ""  # who asks; clients share slots and queue
    pooling: Pooling | None = None  # how the vector is made; None asks for none
    scales: tuple[float, ...] = ()  # of the adapters, as in Microbatch
    begun: tuple[int, ...] = ()  # tokens that another engine has generated and told: this one goes on behind them
    ticket: bytes = b""  # by which `Keep` knows it; empty for one that is not kept
    pictures: tuple[PictureRows, ...] = ()  # as in Sequence


@dataclass(frozen=True, slots=True)
class Cancel:
    request_id: int


@dataclass(frozen=True, slots=True)
class LinkBroke:
    """The connection to a stage is gone, and maybe its process, too."""

    failure: StageFailure


@dataclass(frozen=True, slots=True)
class Reset:
    """The stages are wired anew."""

    epoch: int
    costs: tuple[StageCosts, ...] = ()  # what steps take on each stage; () if that is not known
    holdings: tuple[Holdings | None, ...] = ()  # of each stage, None of one that does not tell; (): nothing is known
    are_same: bool = False  # they are the processes of the epoch before: none of them has died


@dataclass(frozen=True, slots=True)
class Pause:
    """The stages are to be wired anew on purpose: what is under way ends, and nothing more is sent."""

    why: str
    has_paused: threading.Event  # set once nothing is under way, or could end any more


@dataclass(frozen=True, slots=True)
class Progress:
    """The stages are on their way back: who is held waits anew from now on."""


@dataclass(frozen=True, slots=True)
class Drafted:
    """Guesses are there that were asked for, or will not come: what waits for them can be sent."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The engine's thread is to end."""


Event = (
    NewRequest | Cancel | StepResult | StepTiming | StageFailure | LinkBroke | Reset | Pause | Progress | Drafted | Stop
)
