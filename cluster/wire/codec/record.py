"""Records <-> messages whose fields have the same names, so that no list of fields is written twice.

A record is a frozen dataclass of numbers, texts, enums, other records (or None), tuples of records or whole numbers,
and mappings from texts to texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from google.protobuf.message import Message

from cluster.api.errors import UsageError
from cluster.wire.limits import MAX_COUNT, MAX_REASON_CHARS, check_length, check_range, fit_text

Record = TypeVar("Record")
# By the name of a field: the least and the greatest number, or the least and the greatest length.
Bounds = Mapping[str, tuple[int, int]]

_NUMBER = (0, MAX_COUNT)
_LENGTH = (0, MAX_REASON_CHARS)


def fields_of(record: Any) -> dict[str, Any]:
    """What to make the message of: dicts stand for messages, which are read faster. Texts that are too long are cut."""
    return {field.name: _sendable(getattr(record, field.name)) for field in fields(record)}


def _sendable(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return _enum_name(value)
    if isinstance(value, str):
        return fit_text(value)
    if isinstance(value, tuple):
        return [_sendable(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)  # of texts that were made to fit
    return fields_of(value) if is_dataclass(value) else value


def record_of(kind: type[Record], message: Message, where: str, bounds: Bounds | None = None) -> Record:
    """The record. UsageError names the field, as "`where`.name", that is absent or out of its bounds.

    `bounds` names fields in the same way, numbers of a tuple as "`where`.name.item", texts of a mapping as
    "`where`.name.value". Without any, numbers are 0 to MAX_COUNT, texts, tuples and mappings no longer than
    MAX_REASON_CHARS.
    """
    types = _types(kind)  # type: ignore[arg-type]  # a class is hashable
    values = {name: _received(types[name], message, name, f"{where}.{name}", bounds or {}) for name in types}
    return kind(**values)


def _received(type_: Any, message: Message, name: str, field: str, bounds: Bounds) -> Any:
    value = getattr(message, name)
    if isinstance(type_, UnionType):
        (type_,) = (one for one in get_args(type_) if one is not NoneType)
        if not message.HasField(name):
            return None
    if isinstance(type_, type) and is_dataclass(type_):
        if not message.HasField(name):
            raise UsageError(f"{field}: it is missing; run the same version of ggml-cluster on both ends")
        return record_of(type_, value, field, bounds)
    if get_origin(type_) is tuple:
        check_length(field, value, bounds.get(field, _LENGTH)[1])
        return tuple(_item(get_args(type_)[0], item, field, bounds) for item in value)
    if get_origin(type_) is Mapping:
        return _texts_of(value, field, bounds)
    if issubclass(type_, StrEnum):
        return _enum_of(type_, value, message, name, field)
    if issubclass(type_, str):
        check_length(field, value, bounds.get(field, _LENGTH)[1])
    elif type_ is int:
        check_range(field, value, *bounds.get(field, _NUMBER))
    elif not math.isfinite(value):
        raise UsageError(f"{field}: {value} is not finite; it must be a number")
    return value


def _item(type_: Any, item: Any, field: str, bounds: Bounds) -> Any:
    if type_ is int:
        return check_range(f"{field}.item", item, *bounds.get(f"{field}.item", _NUMBER))
    return record_of(type_, item, field, bounds)


def _texts_of(value: Mapping[str, str], field: str, bounds: Bounds) -> dict[str, str]:
    check_length(field, value, bounds.get(field, _LENGTH)[1])
    for key, text in value.items():
        check_length(f"{field}.key", key, MAX_REASON_CHARS)
        check_length(f"{field}.value", text, bounds.get(f"{field}.value", _LENGTH)[1])
    return dict(value)


@cache
def _types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _enum_name(value: StrEnum) -> str:
    """As the enums of our .proto files name it, for example CONDITION_READY."""
    return f"{type(value).__name__.upper()}_{value.name}"


def _enum_of(kind: type[StrEnum], number: int, message: Message, name: str, field: str) -> StrEnum:
    numbers = message.DESCRIPTOR.fields_by_name[name].enum_type
    assert numbers is not None, f"{field} is no enum in its .proto file"
    for value in kind:
        if numbers.values_by_name[_enum_name(value)].number == number:
            return value
    raise UsageError(f"{field}: {number} is unknown; run the same version of ggml-cluster on both ends")
