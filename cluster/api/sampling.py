"""Sampling parameters: what a client may ask of the last stage, checked once where they enter."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

from cluster.api.errors import UsageError

MAX_LOGPROBS = 20
MAX_STOP_STRINGS = 16
MAX_STOP_BYTES = 256


@dataclass(frozen=True, slots=True)
class Range:
    """What a parameter may be: [low, high], both included. The native sampler takes all of it; a test compares them."""

    low: float
    high: float
    is_whole: bool = False
    instead: tuple[tuple[int, int | None], ...] = ()  # (what llama-server takes too, what it stands for)

    def __str__(self) -> str:
        numbers = (
            f"a whole number from {self.low} to {self.high}"
            if self.is_whole
            else (f"a number from {self.low:g} to {self.high:g}")
        )
        return ", or ".join((numbers, *(str(value) for value, _ in self.instead)))


RANGES = {
    "max_tokens": Range(0, 2**31 - 1, True, ((-1, None), (-2, None))),
    "temperature": Range(0.0, 100.0),
    "top_k": Range(0, 2**31 - 1, True, ((-1, 0),)),
    "top_p": Range(0.0, 1.0),
    "min_p": Range(0.0, 1.0),
    "seed": Range(0, 2**63 - 1, True, ((-1, None),)),
    "repeat_penalty": Range(1e-3, 100.0),
    "repeat_last_n": Range(0, 2**20, True, ((-1, -1),)),
    "presence_penalty": Range(-100.0, 100.0),
    "frequency_penalty": Range(-100.0, 100.0),
    "logprobs": Range(0, MAX_LOGPROBS, True),
}


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are drawn, and when to stop. Names and defaults are llama-server's where it has them.

    Numbers may be numpy's, and 0-d arrays; they are kept as Python's.

    Attributes:
        max_tokens: most tokens to generate; None (or -1, or -2) means until an end token or a full context.
        temperature: 0 draws the most probable token (greedy).
        top_k: keep the k most probable tokens; 0 (or -1) keeps all.
        top_p: keep the smallest set whose probability reaches p; 1 keeps all.
        min_p: drop tokens less probable than min_p times the most probable one; 0 keeps all.
        seed: draws at the same position with the same seed are equal; None (or -1) lets the coordinator choose.
        repeat_penalty: divides (or multiplies) the logits of recent tokens; 1 is off.
        repeat_last_n: how many recent tokens (prompt included) the penalties see; 0 is off, -1 all of them.
        presence_penalty, frequency_penalty: subtracted from the logits of recent tokens; 0 is off.
        stop: generation ends before any of these strings appears.
        logprobs: report this many most probable tokens at each position; 0 reports only the drawn one's
            log probability. The probabilities are the model's own, before penalties, truncation and temperature.
        ignore_eos: end tokens do not end the text.
    """

    max_tokens: int | None = 128
    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    seed: int | None = None
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    logprobs: int = 0
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _checked(field.name, getattr(self, field.name)))


PARAM_NAMES = tuple(field.name for field in fields(SamplingParams))
# When a text ends is the coordinator's to say; all that is left is what the native sampler takes, by the same names.
ENDING_NAMES = ("max_tokens", "stop", "ignore_eos")
SAMPLER_NAMES = tuple(name for name in PARAM_NAMES if name not in ENDING_NAMES)


def _checked(name: str, given: Any) -> Any:
    if name in RANGES:
        may_be_none = any(stands_for is None for _, stands_for in RANGES[name].instead)
        return None if given is None and may_be_none else _number(name, given, RANGES[name])
    return _stop(given) if name == "stop" else _flag(name, given)


def _number(name: str, given: Any, allowed: Range) -> float | int | None:
    value = _unwrapped(given)
    is_number = isinstance(value, int) if allowed.is_whole else isinstance(value, Real)
    if isinstance(value, bool) or not is_number:
        kind = "whole number" if allowed.is_whole else "number"
        raise UsageError(f"{name}: {_shown(given)} is not a {kind}; give {allowed}")
    for alias, stands_for in allowed.instead:
        if value == alias:
            return stands_for
    if not allowed.low <= value <= allowed.high:  # so is NaN
        is_finite = isinstance(value, int) or math.isfinite(value)
        reason = "is out of range" if is_finite else "is not a finite number"
        raise UsageError(f"{name}: {_shown(value)} {reason}; give {allowed}")
    return int(value) if allowed.is_whole else float(value) + 0.0  # no negative zero


def _shown(value: Any) -> str:
    """Short, and never an error of its own: of very long numbers Python gives no digits."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    return repr(value)[:100]


def _unwrapped(given: Any) -> Any:
    """Python's own number of numpy's, or of an array without axes."""
    return given.item() if getattr(given, "ndim", None) == 0 and hasattr(given, "item") else given


def _flag(name: str, given: Any) -> bool:
    value = _unwrapped(given)
    if not isinstance(value, bool):
        raise UsageError(f"{name}: {_shown(given)} is not a boolean; give True or False")
    return value


def _stop(given: Any) -> tuple[str, ...]:
    stop = (given,) if isinstance(given, str) else given
    if not isinstance(stop, list | tuple) or not all(isinstance(text, str) for text in stop):
        raise UsageError(f"stop: {_shown(stop)} is not a list of strings; give a string or a list of strings")
    if len(stop) > MAX_STOP_STRINGS:
        raise UsageError(f"stop: {len(stop)} strings; give at most {MAX_STOP_STRINGS}")
    for text in stop:
        size_bytes = len(text.encode("utf-8", "surrogatepass"))
        if not 0 < size_bytes <= MAX_STOP_BYTES:
            raise UsageError(f"stop: a string of {size_bytes} bytes; give 1 to {MAX_STOP_BYTES} bytes")
    return tuple(stop)
