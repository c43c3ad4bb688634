"""What a setting may be, read from the annotation of its field: one home for files, flags and checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Protocol, get_args, get_origin, get_type_hints

from cluster.api.errors import UsageError
from cluster.duration import seconds


class Bounds(Protocol):
    """What a value may be, told beside its type: Annotated[int, Whole(1, 8)]. As text, it says so to people."""

    def check(self, name: str, value: Any) -> None:
        """UsageError for anything else, a value of another type included."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`, both included, or one of `also`."""

    low: int
    high: int
    also: tuple[int, ...] = ()

    def check(self, name: str, value: Any) -> None:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or not (self.low <= value <= self.high or value in self.also):
            raise UsageError(f"{name}: {value!r} is not possible; give {self}")

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole that is never all of it."""

    def check(self, name: str, value: Any) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value < 1:
            raise UsageError(f"{name}: {value!r} is not possible; give {self}")

    def __str__(self) -> str:
        return "a share from 0 to below 1, such as 0.1"


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time, such as 5m."""

    def check(self, name: str, value: Any) -> None:
        seconds(name, value)

    def __str__(self) -> str:
        return "a length of time, such as 90s, 5m or 1h"


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a record of settings. `kind`: bool, int, float, str, or tuple (of texts)."""

    name: str
    kind: type
    is_optional: bool
    default: Any
    choices: tuple[str, ...] = ()
    bounds: Bounds | None = None

    @property
    def flag(self) -> str:
        """Its name on the command line, without the dashes in front, and in messages."""
        return self.name.replace("_", "-")

    def is_typed(self, value: Any) -> bool:
        """Whether a file may have `value` for it; whether it is a possible one, `check` says."""
        if self.choices:
            return isinstance(value, str | int)  # 1, -1 and true stand for some of them
        if isinstance(value, bool):
            return self.kind is bool
        if self.kind is tuple:
            return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
        return isinstance(value, int | float if self.kind is float else self.kind)

    def check(self, value: Any) -> None:
        """UsageError, which names the setting, where `value` is not possible."""
        if value is None and self.is_optional:
            return
        if self.bounds is not None:
            self.bounds.check(self.flag, value)
        elif self.choices:
            if value not in self.choices:
                raise UsageError(f"{self.flag}: {value!r} is not known; choose one of {', '.join(self.choices)}")
        elif not self.is_typed(value):
            wanted = {bool: "true or false", str: "a text", tuple: "a list of texts"}[self.kind]
            raise UsageError(f"{self.flag}: {value!r} is not possible; give {wanted}")


def settings_of(record: type) -> Mapping[str, Setting]:
    """The settings that are the fields of a dataclass, by name. A number without bounds is a fault of ours."""
    return _read(record)


@cache
def _read(record: type) -> Mapping[str, Setting]:
    hints = get_type_hints(record, include_extras=True)
    return {field.name: _setting(field.name, hints[field.name], field.default) for field in fields(record)}


def _setting(name: str, hint: Any, default: Any) -> Setting:
    bare, *extra = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    options = get_args(bare) if get_origin(bare) is UnionType else (bare,)
    (one,) = (option for option in options if option is not NoneType)
    choices = get_args(one) if get_origin(one) is Literal else ()
    kind = str if choices else get_origin(one) or one
    bounds = extra[0] if extra else None
    assert kind in (bool, int, float, str, tuple), f"{name}: no setting has the type {kind}"
    assert bounds is not None or kind not in (int, float), f"{name}: a number without bounds"
    return Setting(name, kind, NoneType in options, default, choices, bounds)
