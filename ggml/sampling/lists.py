"""Lists that a client gives with its sampling parameters: texts, token ids, biases, names. Checked and bounded here."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ggml.core.errors import ArgumentError
from ggml.sampling.numbers import Range, shown

MAX_STOP_STRINGS = 64
MAX_STOP_BYTES = 256
MAX_DRY_BREAKERS = 64
MAX_DRY_BREAKER_BYTES = 64
MAX_STOP_TOKENS = 256
MAX_LOGIT_BIASES = 4096
LARGEST_BIAS = 1e6

_TOKEN = Range(0, 2**31 - 1, True)
_BIAS = Range(-LARGEST_BIAS, LARGEST_BIAS)


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of texts, or one text."""

    most: int
    most_bytes: int  # of each

    def checked(self, name: str, given: Any) -> tuple[str, ...]:
        texts = (given,) if isinstance(given, str) else given
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise ArgumentError(name, shown(texts), "is not a list of strings; give a string or a list of strings")
        if len(texts) > self.most:
            raise ArgumentError(name, f"{len(texts)} strings", f"are too many; give at most {self.most}")
        for text in texts:
            size_bytes = len(text.encode("utf-8", "surrogatepass"))
            if not 0 < size_bytes <= self.most_bytes:
                raise ArgumentError(
                    name, f"a string of {size_bytes} bytes", f"is empty or too long; give 1 to {self.most_bytes} bytes"
                )
        return tuple(texts)


@dataclass(frozen=True, slots=True)
class TokenIds:
    """A list of token ids."""

    most: int

    def checked(self, name: str, given: Any) -> tuple[int, ...]:
        if not isinstance(given, list | tuple):
            raise ArgumentError(name, shown(given), "is not a list of token ids; give whole numbers")
        _check_length(name, given, self.most)
        return tuple(_number(name, token, _TOKEN) for token in given)


@dataclass(frozen=True, slots=True)
class Biases:
    """What is added to the logits of some tokens: pairs of a token id and a number, or a dict. -inf bans a token."""

    most: int

    def checked(self, name: str, given: Any) -> tuple[tuple[int, float], ...]:
        pairs = tuple(given.items()) if isinstance(given, Mapping) else given
        if not isinstance(pairs, list | tuple) or not all(isinstance(pair, list | tuple) for pair in pairs):
            raise ArgumentError(name, shown(given), "is not a list of pairs; give a token id and a number for each")
        _check_length(name, pairs, self.most)
        return tuple(self._pair(name, pair) for pair in pairs)

    @staticmethod
    def _pair(name: str, pair: Any) -> tuple[int, float]:
        if len(pair) != 2:
            raise ArgumentError(name, shown(pair), "is not a pair; give a token id and a number")
        token, bias = pair
        if isinstance(bias, float) and bias == -math.inf:
            return _number(name, token, _TOKEN), bias
        return _number(name, token, _TOKEN), _number(name, bias, _BIAS)


@dataclass(frozen=True, slots=True)
class Names:
    """A list of different names, all of which are known."""

    known: tuple[str, ...]
    aliases: Mapping[str, str]

    def checked(self, name: str, given: Any) -> tuple[str, ...]:
        names = tuple(given.split(";")) if isinstance(given, str) else given
        if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
            raise ArgumentError(name, shown(given), f"is not a list of names; give some of {', '.join(self.known)}")
        _check_length(name, names, len(self.known))
        found = tuple(self._one(name, one) for one in names)
        for index, one in enumerate(found):
            if one in found[:index]:
                raise ArgumentError(name, one, "is there twice; give each at most once")
        return found

    def _one(self, name: str, given: str) -> str:
        plain = given.strip().lower().replace("-", "_")
        one = self.aliases.get(plain, plain)
        if one not in self.known:
            near = difflib.get_close_matches(one, self.known, 1)
            hint = f"did you mean {near[0]}?" if near else f"give some of {', '.join(self.known)}"
            raise ArgumentError(name, shown(given), f"is unknown; {hint}")
        return one


def _check_length(name: str, items: Any, most: int) -> None:
    if len(items) > most:
        raise ArgumentError(name, f"{len(items)} items", f"are too many; give at most {most}")


def _number(name: str, given: Any, allowed: Range) -> Any:
    return allowed.checked(name, given)
