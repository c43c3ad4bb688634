"""Rules of a grammar in llguidance's kind of Lark, where literals may have control tokens in them."""

from __future__ import annotations

import re
from typing import Any

from cluster.chat.formats.control import ControlTokens
from cluster.chat.formats.mark import WHITE
from cluster.grammar.schema import schema_text

ANY_TEXT = r"(.|\n)"
# Where a literal has white space, and how much more there may be than it has. A model that likes it goes on as far.
MAX_WHITE = 6
MORE_WHITE = 2
WHITE_RUN = re.compile(r"[ \n]+")
_SPECIAL = re.compile(r"([\\.^$|?*+()\[\]{}/])")


class Lark:
    """Collects rules. All methods that give an expression give one that can stand in a sequence."""

    def __init__(self, control: ControlTokens) -> None:
        self._control = control
        self._rules: list[str] = []
        self._names: dict[str, str] = {}  # of rules, by their bodies
        self._num_names = 0
        self.white = self.terminal("WHITE", f"/[ \\n]{{1,{MAX_WHITE}}}/") + "?"
        self.text = self.terminal("TEXT", f"/{ANY_TEXT}+/") + "?"

    def terminal(self, name: str, body: str) -> str:
        """A name in capitals."""
        return self._named(name, ":", body)

    def rule(self, name: str, body: str) -> str:
        return self._named(name, ":", body)

    def lazy(self, name: str, body: str) -> str:
        """A rule of one terminal that ends as soon as it can."""
        return self._named(name, "[lazy]:", body)

    def reserve(self, name: str) -> str:
        """The name of a rule that is defined later, since it may name itself."""
        self._num_names += 1
        return f"{name}_{self._num_names}"

    def define(self, name: str, body: str) -> None:
        """A rule whose name was reserved."""
        self._rules.append(f"{name}: {body}")

    def literal(self, literal: str) -> str:
        """A literal, with white space as it may come, and its control tokens but those that end the text."""
        found = []
        for piece in self._control.pieces(literal):
            if isinstance(piece, int):
                found += [] if self._control.is_end(piece) else [f"<[{piece}]>"]
                continue
            core = piece.strip(WHITE)
            # White space at both ends is a word of its own, the same whatever follows: words are as long as they can.
            found += [self.white] if piece[:1] in WHITE else []
            found += [f"/{pattern(core)}/"] if core else []
            found += [self.white] if core and piece[-1:] in WHITE else []
        return " ".join(found)

    def until(self, literal: str) -> str:
        """Any text, and the literal, which is not in it."""
        if self.starts_with_control(literal):
            return f"{self.text} {self.literal(literal.rstrip())}"
        lead = next(self._control.pieces(literal.rstrip()))
        assert isinstance(lead, str)
        head = self.lazy("until", f"/{ANY_TEXT}*{pattern(lead)}/")
        return f"{head} {self.literal(literal.rstrip()[len(lead) :])}".rstrip()

    def json(self, schema: Any, *, is_lenient: bool) -> str:
        """JSON that follows a schema."""
        return self.rule("json", f"%json {schema_text(schema, lenient=is_lenient)}")

    def starts_with_control(self, literal: str) -> bool:
        return isinstance(next(self._control.pieces(literal.lstrip()), ""), int)

    def built(self, start: str) -> str:
        return "\n".join((f"start: {start}", *self._rules, ""))

    def _named(self, name: str, mark: str, body: str) -> str:
        definition = f"{mark} {body}"
        if definition not in self._names:
            self._names[definition] = self.reserve(name)
            self._rules.append(f"{self._names[definition]}{definition}")
        return self._names[definition]


def pattern(text: str) -> str:
    """A regular expression for a literal without control tokens."""
    found = []
    begin = 0
    for run in WHITE_RUN.finditer(text):
        found.append(_escaped(text[begin : run.start()]))
        found.append(rf"[ \n]{{0,{len(run.group()) + MORE_WHITE}}}")
        begin = run.end()
    return "".join((*found, _escaped(text[begin:])))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text).replace("\t", r"\t").replace("\r", r"\r")
