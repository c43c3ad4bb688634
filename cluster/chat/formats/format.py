"""How a family of models writes tool calls: data, from which grammar, reader and text are made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

VARIABLES = re.compile(r"\{(name|arguments|id|index|calls|key|value|type)\}")


class Values(Enum):
    """How arguments are spelled."""

    JSON = "json"  # an object
    TAGGED = "tagged"  # each between literals: texts as they are, all else as JSON
    GEMMA = "gemma"  # an object with bare keys, and texts between marks of their own
    PYTHON = "python"  # keyword arguments


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that is always the same, but for white space, which may be more or less."""

    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """Text that a call brings."""

    name: str  # one of those in VARIABLES


Step = Literal | Variable


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """A family's spelling of calls.

    Attributes:
        id: as `/props` names it.
        call: one call, with {name} and {arguments}, and with {id} or {index} where the text has them.
        calls: all calls of an answer, where something encloses them.
        between: what separates two calls.
        argument: one argument, with {key} and {value}, unless all of them are one JSON object.
        text_argument: the same for a value that is a text, where that is spelled differently.
        has, lacks: literals that a template of this family has, or has not.
        prime: what the prompt has written of the answer already, if it ends so.
        content_open, content_close: what may enclose text for people, and is none.
        short_end: what may come instead of the call's end.
        is_single: an answer has at most one call.
        is_first: a call is only one where the answer begins with it.
        needs_no_proof: templates of this family do not write calls of the history, so that the literals must do.
        first_index: of {index}.
    """

    id: str
    call: str
    calls: str = "{calls}"
    between: str = ""
    values: Values = Values.JSON
    argument: str = ""
    text_argument: str = ""
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    prime: str = ""
    content_open: tuple[str, ...] = ()
    content_close: tuple[str, ...] = ()
    short_end: str = ""
    is_single: bool = False
    is_first: bool = False
    needs_no_proof: bool = False
    first_index: int = 0

    @property
    def literals(self) -> tuple[str, ...]:
        """All that the text may have of the format's own."""
        spelled = (self.calls, self.call, self.between, self.argument, self.text_argument, self.short_end)
        texts = [step.text for text in spelled for step in steps(text) if isinstance(step, Literal)]
        return (*texts, *self.content_open, *self.content_close)

    @property
    def enclosing(self) -> tuple[str, str]:
        """What is before the first call, and after the last one."""
        before, _, after = self.calls.partition("{calls}")
        return before, after

    @property
    def head(self) -> tuple[Step, ...]:
        """Of a call, what is before its arguments."""
        return steps(self.call.partition("{arguments}")[0])

    @property
    def end(self) -> str:
        """Of a call, what is after its arguments."""
        return self.call.partition("{arguments}")[2]

    @property
    def trigger(self) -> str:
        """What no text for people may have in it: with it calls begin."""
        before = self.enclosing[0]
        first = self.head[0]
        literal = before or (first.text if isinstance(first, Literal) else "")
        literal = literal.lstrip()
        whole = re.match(r"<[^<>\s]*[>=]|\S+", literal)
        return whole.group() if whole else ""


def steps(spelled: str) -> tuple[Step, ...]:
    """The literals and variables of a spelling, in order."""
    found: list[Step] = []
    begin = 0
    for variable in VARIABLES.finditer(spelled):
        if variable.start() > begin:
            found.append(Literal(spelled[begin : variable.start()]))
        found.append(Variable(variable.group(1)))
        begin = variable.end()
    if begin < len(spelled):
        found.append(Literal(spelled[begin:]))
    return tuple(found)
