"""Sampling parameters: what a client may ask of the last stage, checked once where they enter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from cluster.errors import UsageError

MAX_LOGPROBS = 20
MAX_STOP_STRINGS = 16
MAX_STOP_BYTES = 256


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are drawn, and when to stop. Names and defaults are llama-server's where it has them.

    Attributes:
        max_tokens: most tokens to generate; None means until an end token or a full context.
        temperature: 0 draws the most probable token (greedy).
        top_k: keep the k most probable tokens; 0 keeps all.
        top_p: keep the smallest set whose probability reaches p; 1 keeps all.
        min_p: drop tokens less probable than min_p times the most probable one; 0 keeps all.
        seed: draws at the same position with the same seed are equal; None lets the coordinator choose.
        repeat_penalty: divides (or multiplies) the logits of recent tokens; 1 is off.
        repeat_last_n: how many recent tokens (prompt included) the penalties see; 0 is off.
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
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        elif isinstance(self.stop, list):
            object.__setattr__(self, "stop", tuple(self.stop))
        if self.max_tokens is not None:
            _check_int("max_tokens", self.max_tokens, 0, 2**31 - 1)
        _check_float("temperature", self.temperature, 0.0, 100.0)
        _check_int("top_k", self.top_k, 0, 2**31 - 1)
        _check_float("top_p", self.top_p, 0.0, 1.0)
        _check_float("min_p", self.min_p, 0.0, 1.0)
        if self.seed is not None:
            _check_int("seed", self.seed, 0, 2**63 - 1)
        _check_float("repeat_penalty", self.repeat_penalty, 1e-3, 100.0)
        _check_int("repeat_last_n", self.repeat_last_n, 0, 2**20)
        _check_float("presence_penalty", self.presence_penalty, -100.0, 100.0)
        _check_float("frequency_penalty", self.frequency_penalty, -100.0, 100.0)
        _check_stop(self.stop)
        _check_int("logprobs", self.logprobs, 0, MAX_LOGPROBS)
        _check_bool("ignore_eos", self.ignore_eos)


def _check_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise UsageError(f"{name}: {value!r} is not a boolean; give True or False")


def _check_int(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{name}: {value!r} is not a whole number; give one from {low} to {high}")
    if not low <= value <= high:
        raise UsageError(f"{name}: {value} is out of range; give a whole number from {low} to {high}")


def _check_float(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{name}: {value!r} is not a finite number; give one from {low:g} to {high:g}")
    if not low <= value <= high:
        raise UsageError(f"{name}: {value!r} is out of range; give a number from {low:g} to {high:g}")


def _check_stop(stop: Any) -> None:
    if not isinstance(stop, tuple) or not all(isinstance(text, str) for text in stop):
        raise UsageError(f"stop: {stop!r} is not a list of strings; give a string or a list of strings")
    if len(stop) > MAX_STOP_STRINGS:
        raise UsageError(f"stop: {len(stop)} strings; give at most {MAX_STOP_STRINGS}")
    for text in stop:
        size_bytes = len(text.encode("utf-8", "surrogatepass"))
        if not 0 < size_bytes <= MAX_STOP_BYTES:
            raise UsageError(f"stop: a string of {size_bytes} bytes; give 1 to {MAX_STOP_BYTES} bytes")
