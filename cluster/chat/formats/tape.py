"""Text that arrives in pieces, for a reader that is written as if all of it were there.

A reader is a generator; it yields when it needs more text. What it makes of the text never depends on how it was cut.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from cluster.chat.formats.mark import Mark, first_at, first_of
from cluster.chat.formats.part import Part, PartKind

Result = TypeVar("Result")
Reading = Generator[None, None, Result]


class Tape:
    """Holds what has come and is not read yet. `parts` is what the reader has made; its owner takes them away."""

    def __init__(self) -> None:
        self.text = ""
        self.upto = 0  # how many characters were read
        self.is_ended = False
        self.parts: list[Part] = []
        self._num_to_pass = 0  # line ends and spaces after a mark

    def append(self, text: str) -> None:
        self.text += text
        self._pass_white()

    def make(self, kind: PartKind, text: str) -> None:
        self.parts.append(Part(kind, text, self.upto))

    def take(self, size: int) -> str:
        """The next `size` characters of what is there."""
        taken, self.text = self.text[:size], self.text[size:]
        self.upto += size
        return taken

    def pass_white(self, most: int) -> None:
        """So many characters of white space are passed over as soon as they come."""
        self._num_to_pass = most
        self._pass_white()

    def more(self) -> Reading[bool]:
        """Waits for text; False if no more comes."""
        while not self.text:
            if self.is_ended:
                return False
            yield
        return True

    def copy_until(self, marks: tuple[Mark, ...], kind: PartKind) -> Reading[Mark | None]:
        """Makes parts of the text up to the first mark, which is passed over; None if the text ends before."""
        while True:
            found = first_of(marks, self.text)
            is_last = self.is_ended and found.mark is None
            text = self.take(len(self.text) if is_last else found.begin)
            if text:
                self.make(kind, text)
            if found.mark is not None:
                self._pass(found.mark, found.end - found.begin)
                return found.mark
            if is_last:
                return None
            yield

    def read_until(self, mark: Mark) -> Reading[str | None]:
        """The text up to a mark, which is passed over; None if the text ends before: then nothing is taken."""
        while True:
            found = first_of((mark,), self.text)
            if found.mark is not None:
                text = self.take(found.begin)
                self._pass(found.mark, found.end - found.begin)
                return text
            if self.is_ended:
                return None
            yield

    def accept(self, *marks: Mark) -> Reading[Mark | None]:
        """Passes over the mark that lies here, if there is one."""
        while True:
            found = first_at(marks, self.text)
            if found is not None and found.mark is not None:
                self._pass(found.mark, found.end)
                return found.mark
            if found is None or self.is_ended:
                return None
            yield

    def _pass(self, mark: Mark, size: int) -> None:
        self.take(size)
        self.pass_white(mark.num_trailing)

    def _pass_white(self) -> None:
        while self._num_to_pass and self.text:
            if self.text[0] not in " \n":
                self._num_to_pass = 0
                return
            self.take(1)
            self._num_to_pass -= 1
