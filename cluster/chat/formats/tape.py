"""Text that arrives in pieces, for a reader that is written as if all of it were there.

A reader is a generator; it yields when it needs more text. What it makes of the text never depends on how it was cut.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from cluster.chat.formats.mark import WHITE, Mark, first_at, first_of
from cluster.chat.formats.part import Part, PartKind

Result = TypeVar("Result")
Reading = Generator[None, None, Result]


class Tape:
    """Holds what has come and is not read yet. `parts` is what the reader has made; its owner takes them away."""

    def __init__(self, prime: str = "") -> None:
        """`prime`: what the prompt has written of the text already."""
        self.text = prime
        self.upto = -len(prime)  # how many characters were read
        self.is_ended = False
        self.parts: list[Part] = []
        self._num_to_pass = 0  # line ends and spaces after a mark
        self._passed = ""  # the last mark, as it was written
        self._taken: list[str] | None = None

    def append(self, text: str) -> None:
        self.text += text
        self._pass_white()

    def make(self, kind: PartKind, text: str) -> None:
        self.parts.append(Part(kind, text, self.upto))

    def take(self, size: int) -> str:
        """The next `size` characters of what is there."""
        taken, self.text = self.text[:size], self.text[size:]
        self.upto += size
        if self._taken is not None:
            self._taken.append(taken)
        return taken

    def remember(self) -> None:
        """What is taken from here on, and the mark that was passed last, can be given back as content."""
        self._taken = [self._passed]

    def forget(self) -> None:
        self._taken = None

    def give_back(self) -> None:
        """What `remember` has kept is content after all."""
        text = "".join(self._taken or ())
        self._taken = None
        if text:
            self.make(PartKind.CONTENT, text)

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

    def copy_until(
        self, marks: tuple[Mark, ...], kind: PartKind, spelled: Callable[[str], str] = str
    ) -> Reading[Mark | None]:
        """Makes parts of the text up to the first mark, which is passed over; None if the text ends before.

        If the text ends within what may be a mark, this is text; of arguments it is left out, since there it is one.
        """
        while True:
            found = first_of(marks, self.text)
            is_last = self.is_ended and found.mark is None
            is_whole = is_last and kind is not PartKind.ARGUMENTS
            text = self.take(len(self.text) if is_whole else found.begin)
            if text:
                self.make(kind, spelled(text))
            if found.mark is not None:
                self._pass(found.mark, found.end - found.begin)
                return found.mark
            if is_last:
                self.take(len(self.text))
                return None
            yield

    def peek(self) -> Reading[str]:
        """The next character, which stays; "" if no more comes."""
        return self.text[0] if (yield from self.more()) else ""

    def read_name(self) -> Reading[str]:
        """The letters, digits and _ . - that come here."""
        size = 0
        while True:
            while size < len(self.text) and (self.text[size].isalnum() or self.text[size] in "_.-"):
                size += 1
            if size < len(self.text) or self.is_ended:
                return self.take(size)
            yield

    def read_until_any(self, marks: tuple[Mark, ...]) -> Reading[tuple[str, Mark] | None]:
        """The text up to the first mark, which is passed over; None if the text ends before: then nothing is taken."""
        while True:
            found = first_of(marks, self.text)
            if found.mark is not None:
                text = self.take(found.begin)
                self._pass(found.mark, found.end - found.begin)
                return text, found.mark
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

    def hold_white(self, marks: tuple[Mark, ...]) -> Reading[str]:
        """The white space before the next mark, or before other text."""
        white = ""
        while (yield from self.more()):
            found = first_at(marks, self.text)
            if found is not None and found.mark is not None:
                break
            if found is not None and not self.is_ended:
                yield
                continue
            if self.text[0] not in WHITE:
                break
            white += self.take(1)
        return white

    def _pass(self, mark: Mark, size: int) -> None:
        self._passed = self.take(size)
        self.pass_white(mark.num_trailing)

    def _pass_white(self) -> None:
        while self._num_to_pass and self.text:
            if self.text[0] not in WHITE:
                self._num_to_pass = 0
                return
            self.take(1)
            self._num_to_pass -= 1
