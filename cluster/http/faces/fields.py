"""The fields of a JSON object from outside: each is read by its type, and what nobody read is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from cluster.api.errors import UsageError
from cluster.api.sampling import PARAM_NAMES, SamplingParams
from cluster.http.faces.face import Body

E = TypeVar("E")

# What no API has, but people of other servers know: it is taken by our names. The rest has another form in an API.
OTHER_FORMS = (
    *("max_tokens", "logprobs", "prompt_logprobs", "logit_bias", "grammar", "grammar_prefix"),
    *("shown_tokens", "report_progress", "lora"),
)
PLAIN_SAMPLING = {name: name for name in PARAM_NAMES if name not in OTHER_FORMS}


class Fields:
    """Reads fields by name. null is as good as absent; a wrong type is a UsageError that begins with the field's name.

    Of a nested object the name is its path, such as `messages[3].content`.
    """

    def __init__(self, body: Body, path: str = "") -> None:
        self._body = body
        self._path = path
        self._read: set[str] = set()

    def name_of(self, name: str) -> str:
        """As it is called in messages."""
        return f"{self._path}.{name}" if self._path else name

    def wrong(self, name: str, why: str) -> UsageError:
        """The error of a field whose value has the right type, but is not to be had."""
        return UsageError(f"{self.name_of(name)}: {why}")

    def any(self, name: str) -> Any:
        """The value, of whatever type; None where there is none."""
        self._read.add(name)
        return self._body.get(name)

    def skip(self, *names: str) -> None:
        """Fields that are left out on purpose and need not be counted."""
        self._read.update(names)

    def text(self, name: str, default: str = "") -> str:
        value = self._typed(name, str, "a string")
        return default if value is None else str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._typed(name, bool, "true or false")
        return default if value is None else bool(value)

    def whole(self, name: str, default: int | None = None) -> int | None:
        value = self.any(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise self.wrong(name, f"{described(value)}; give a whole number")
        return default if value is None else value

    def choice(self, name: str, allowed: Mapping[str, E], default: E) -> E:
        """What a word stands for."""
        word = self.text(name)
        if not word:
            return default
        if word not in allowed:
            raise self.wrong(name, f"{word[:100]!r} is not known; give one of {', '.join(allowed)}")
        return allowed[word]

    def mapping(self, name: str) -> Body | None:
        value = self._typed(name, Mapping, "an object")
        return None if value is None else dict(value)

    def inner(self, name: str) -> Fields | None:
        """The fields of an object in a field."""
        value = self.mapping(name)
        return None if value is None else Fields(value, self.name_of(name))

    def items(self, name: str) -> tuple[Any, ...]:
        """A list's items, of whatever type."""
        value = self._typed(name, list, "a list")
        return () if value is None else tuple(value)

    def inners(self, name: str) -> tuple[Fields, ...]:
        """The fields of each object of a list."""
        return objects(self.items(name), self.name_of(name))

    def unread(self) -> tuple[str, ...]:
        """Names of the fields that hold something and that nobody asked for."""
        return tuple(name for name, value in self._body.items() if name not in self._read and value is not None)

    def _typed(self, name: str, kind: type, wanted: str) -> Any:
        value = self.any(name)
        if value is not None and not isinstance(value, kind):
            raise self.wrong(name, f"{described(value)}; give {wanted}")
        return value


def objects(values: Sequence[Any], path: str) -> tuple[Fields, ...]:
    """The fields of each object; UsageError for an item that is none."""
    for place, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise UsageError(f"{path}[{place}]: {described(value)}; give an object")
    return tuple(Fields(value, f"{path}[{place}]") for place, value in enumerate(values))


def described(value: Any) -> str:
    """What a value from JSON is, for an error: its type only, since it may be long, and not for a log."""
    kinds = (
        (bool, "a boolean"),
        (int | float, "a number"),
        (str, "a string"),
        (list, "a list"),
        (Mapping, "an object"),
    )
    return next((f"is {name}" for kind, name in kinds if isinstance(value, kind)), "is null")


def sampling(fields: Fields, names: Mapping[str, str], **defaults: Any) -> SamplingParams:
    """The parameters that fields hold.

    Args:
        names: the name of a SamplingParams' field by the name that the API has for it.
        defaults: of SamplingParams, where the fields say nothing.

    Raises:
        UsageError: a value that is not allowed, by the API's name of it.
    """
    read = {theirs: fields.any(theirs) for theirs in names}
    given = {theirs: value for theirs, value in read.items() if value is not None}
    values = {**defaults, **{names[theirs]: value for theirs, value in given.items()}}
    try:
        return SamplingParams(**values)
    except UsageError as error:
        ours, _, why = str(error).partition(":")
        theirs = next((theirs for theirs in given if names[theirs] == ours), ours)
        raise UsageError(f"{fields.name_of(theirs)}:{why}") from None
