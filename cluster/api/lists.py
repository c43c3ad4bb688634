"""Lists that a client gives with its sampling parameters: texts, token ids, biases, names. Checked and bounded here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.api.errors import UsageError
from cluster.api.nearest import did_you_mean
from cluster.api.numbers import Range, shown

MAX_STOP_STRINGS = 64
MAX_STOP_BYTES = 256
MAX_DRY_BREAKERS = 64
MAX_DRY_BREAKER_BYTES = 64
MAX_STOP_TOKENS = 256
MAX_SHOWN_TOKENS = 1024
MAX_LOGIT_BIASES = 4096
LARGEST_BIAS = 1e6
MAX_ADAPTERS = 64  # of a cluster
LARGEST_SCALE = 1e6

_TOKEN = Range(0, 2**31 - 1, True)
_BIAS = Range(-LARGEST_BIAS, LARGEST_BIAS)
ADAPTER_ID = Range(0, MAX_ADAPTERS - 1, True)
SCALE = Range(-LARGEST_SCALE, LARGEST_SCALE)
Scales = tuple[tuple[int, float], ...]  # (number of an adapter, what it is multiplied by)


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of texts, or one text."""

    most: int
    most_bytes: int  # of each

    def checked(self, name: str, given: Any) -> tuple[str, ...]:
        texts = (given,) if isinstance(given, str) else given
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise UsageError(f"{name}: {shown(texts)} is not a list of strings; give a string or a list of strings")
        if len(texts) > self.most:
            raise UsageError(f"{name}: {len(texts)} strings; give at most {self.most}")
        for text in texts:
            size_bytes = len(text.encode("utf-8", "surrogatepass"))
            if not 0 < size_bytes <= self.most_bytes:
                raise UsageError(f"{name}: a string of {size_bytes} bytes; give 1 to {self.most_bytes} bytes")
        return tuple(texts)


@dataclass(frozen=True, slots=True)
class TokenIds:
    """A list of token ids."""

    most: int

    def checked(self, name: str, given: Any) -> tuple[int, ...]:
        if not isinstance(given, list | tuple):
            raise UsageError(f"{name}: {shown(given)} is not a list of token ids; give whole numbers")
        _check_length(name, given, self.most)
        return tuple(_number(name, token, _TOKEN) for token in given)


@dataclass(frozen=True, slots=True)
class Biases:
    """What is added to the logits of some tokens: pairs of a token id and a number, or a dict. -inf bans a token."""

    most: int

    def checked(self, name: str, given: Any) -> tuple[tuple[int, float], ...]:
        pairs = tuple(given.items()) if isinstance(given, Mapping) else given
        if not isinstance(pairs, list | tuple) or not all(isinstance(pair, list | tuple) for pair in pairs):
            raise UsageError(f"{name}: {shown(given)} is not a list of pairs; give a token id and a number for each")
        _check_length(name, pairs, self.most)
        return tuple(self._pair(name, pair) for pair in pairs)

    @staticmethod
    def _pair(name: str, pair: Any) -> tuple[int, float]:
        if len(pair) != 2:
            raise UsageError(f"{name}: {shown(pair)} is not a pair; give a token id and a number")
        token, bias = pair
        if isinstance(bias, float) and bias == -math.inf:
            return _number(name, token, _TOKEN), bias
        return _number(name, token, _TOKEN), _number(name, bias, _BIAS)


@dataclass(frozen=True, slots=True)
class AdapterScales:
    """What adapters are multiplied by: pairs of an adapter's number and a finite scale, or a dict; none twice."""

    def checked(self, name: str, given: Any) -> Scales:
        pairs = tuple(given.items()) if isinstance(given, Mapping) else given
        if not isinstance(pairs, list | tuple) or not all(
            isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
        ):
            raise UsageError(f"{name}: {shown(given)} is not a list of pairs; give an id and a scale for each adapter")
        _check_length(name, pairs, MAX_ADAPTERS)
        found = tuple((_number(name, one, ADAPTER_ID), _number(name, scale, SCALE)) for one, scale in pairs)
        if len(dict(found)) < len(found):
            raise UsageError(f"{name}: an id is there twice; give each adapter at most once")
        return found


@dataclass(frozen=True, slots=True)
class Names:
    """A list of different names, all of which are known."""

    known: tuple[str, ...]
    aliases: Mapping[str, str]

    def checked(self, name: str, given: Any) -> tuple[str, ...]:
        names = tuple(given.split(";")) if isinstance(given, str) else given
        if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
            raise UsageError(f"{name}: {shown(given)} is not a list of names; give some of {', '.join(self.known)}")
        _check_length(name, names, len(self.known))
        found = tuple(self._one(name, one) for one in names)
        for index, one in enumerate(found):
            if one in found[:index]:
                raise UsageError(f"{name}: {one} is there twice; give each at most once")
        return found

    def _one(self, name: str, given: str) -> str:
        plain = given.strip().lower().replace("-", "_")
        one = self.aliases.get(plain, plain)
        if one not in self.known:
            hint = did_you_mean(one, self.known, f"give some of {', '.join(self.known)}")
            raise UsageError(f"{name}: {shown(given)} is unknown; {hint}")
        return one


@dataclass(frozen=True, slots=True)
class Text:
    """One text."""

    most_bytes: int

    def checked(self, name: str, given: Any) -> str:
        if not isinstance(given, str):
            raise UsageError(f"{name}: {shown(given)} is not a string; give text")
        size_bytes = len(given.encode("utf-8", "surrogatepass"))
        if size_bytes > self.most_bytes:
            raise UsageError(f"{name}: {size_bytes} bytes; give at most {self.most_bytes}")
        return given


def _check_length(name: str, items: Any, most: int) -> None:
    if len(items) > most:
        raise UsageError(f"{name}: {len(items)} items; give at most {most}")


def _number(name: str, given: Any, allowed: Range) -> Any:
    return allowed.checked(name, given)
