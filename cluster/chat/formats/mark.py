"""A literal that models write around reasoning and calls, found in text that is not there wholly yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

WHITE = " \n"


class Fit(Enum):
    """Whether a mark lies at a place."""

    NO = 0
    MAYBE = 1  # the text ends within it
    YES = 2


@dataclass(frozen=True, slots=True)
class Mark:
    """A literal whose white space may be more or less: models and templates disagree about it.

    White space at its begin is taken with it as far as the literal has it. That at its end is no part of the mark, so
    that nobody waits for it: `num_trailing` says how much of it is to be passed over when more text comes.
    """

    literal: str
    core: str = field(init=False)
    num_trailing: int = field(init=False)

    def __post_init__(self) -> None:
        core = self.literal.rstrip(WHITE)
        object.__setattr__(self, "core", core)
        object.__setattr__(self, "num_trailing", len(self.literal) - len(core))

    def fit(self, text: str, begin: int) -> tuple[Fit, int]:
        """Whether it lies at `begin`, and where it ends there."""
        place = begin
        num_white = 0  # of the literal's, before the next other character
        for at, wanted in enumerate(self.core):
            if wanted in WHITE:
                num_white += 1
                continue
            most = num_white if at == num_white else len(text)  # within the literal, as much as there is
            while num_white and place < len(text) and text[place] in WHITE and most:
                place += 1
                most -= 1
            num_white = 0
            if place == len(text):
                return Fit.MAYBE, place
            if text[place] != wanted:
                return Fit.NO, place
            place += 1
        return Fit.YES, place


@dataclass(frozen=True, slots=True)
class Found:
    """The first mark in a text, or what may become it."""

    begin: int
    end: int
    mark: Mark | None  # None: the text ends within one, perhaps


def first_of(marks: tuple[Mark, ...], text: str) -> Found:
    """The first of `marks` in `text`. Of two at one place, the one named first; without any, the text's end."""
    for begin in range(len(text)):
        found = first_at(marks, text, begin)
        if found is not None:
            return found
    return Found(len(text), len(text), None)


def first_at(marks: tuple[Mark, ...], text: str, begin: int = 0) -> Found | None:
    """The mark that lies at `begin`; None if there is none for sure."""
    for mark in marks:
        fit, end = mark.fit(text, begin)
        if fit is Fit.YES:
            return Found(begin, end, mark)
        if fit is Fit.MAYBE:
            return Found(begin, end, None)
    return None
