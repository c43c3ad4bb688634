"""What the stages still hold when an epoch begins, and which of them have to be given it anew. Pure decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cluster.messages.stage import Holdings


@dataclass(frozen=True, slots=True)
class Remains:
    """All stages but `lost` hold what they held in the epoch before."""

    lost: tuple[int, ...]  # ascending; not all of them
    kept: tuple[int, ...] | None  # of each slot, so many rows can be given to all of these; None: any number

    def covers(self, slot: int, num_tokens: int) -> bool:
        """The lost stages can be given so many of a slot's tokens."""
        return not self.lost or self.kept is None or num_tokens <= self.kept[slot]


class Replay(NamedTuple):
    """What a new epoch begins with, in tokens of sequences that had been computed."""

    num_whole: int  # are computed again by all stages
    num_given: int = 0  # are computed again by `stages` alone
    stages: tuple[int, ...] = ()

    @property
    def num_tokens(self) -> int:
        return self.num_whole + self.num_given

    def __str__(self) -> str:
        whole = f"{self.num_whole} tokens are computed again by all stages"
        return f"{whole}, and {self.num_given} by stages {list(self.stages)} alone"


def what_remains(holdings: Sequence[Holdings | None], since: int, epoch: int, num_slots: int) -> Remains | None:
    """None where all is to be computed again.

    `holdings`: of each stage; None of one that does not tell. `since`: no token has come of an epoch between that one
    and `epoch`, so that a stage that has taken no step in that time holds what the others do.
    """
    lost = tuple([stage for stage, held in enumerate(holdings) if held is None or not _holds(held, since, epoch)])
    if len(lost) == len(holdings):
        return None
    # A stage is given the rows of the one before it, the first one tokens; of several in a row each gets the newest.
    givers = [holdings[stage - 1] for stage in lost if stage > 0 and stage - 1 not in lost]
    nothing = (0,) * num_slots
    kept = [held.kept if len(held.kept) == num_slots else nothing for held in givers if held is not None]
    return Remains(lost, tuple(map(min, zip(*kept, strict=True))) if kept else None)


def _holds(held: Holdings, since: int, epoch: int) -> bool:
    return held.epoch > 0 and since <= held.epoch <= epoch
