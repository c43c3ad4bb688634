"""Sampling parameters: how tokens are drawn, and when a text ends. Checked once, where they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self

from ggml.core.errors import ArgumentError
from ggml.sampling import lists
from ggml.sampling.numbers import Range, shown, unwrapped

MAX_LOGPROBS = 20
MANY = 2**31 - 1

# As llama-server names them, in the order in which they work unless `samplers` gives another.
SAMPLERS = (
    "penalties",
    "dry",
    "top_n_sigma",
    "top_k",
    "typ_p",
    "top_p",
    "min_p",
    "xtc",
    "temperature",
    "adaptive_p",
)
_SAMPLER_ALIASES = {"typical_p": "typ_p", "typical": "typ_p", "temp": "temperature", "nucleus": "top_p"}

RANGES = {
    "max_tokens": Range(0, MANY, True, ((-1, None), (-2, None))),
    "temperature": Range(0.0, 100.0),
    "top_k": Range(0, MANY, True, ((-1, 0),)),
    "top_p": Range(0.0, 1.0),
    "min_p": Range(0.0, 1.0),
    "typical_p": Range(0.0, 1.0),
    "top_n_sigma": Range(-1.0, 100.0),
    "xtc_probability": Range(0.0, 1.0),
    "xtc_threshold": Range(0.0, 1.0),
    "dynatemp_range": Range(0.0, 100.0),
    "dynatemp_exponent": Range(0.0, 100.0),
    "seed": Range(0, 2**63 - 1, True, ((-1, None),)),
    "repeat_penalty": Range(1e-3, 100.0),
    "repeat_last_n": Range(0, 2**20, True, ((-1, -1),)),
    "presence_penalty": Range(-100.0, 100.0),
    "frequency_penalty": Range(-100.0, 100.0),
    "dry_multiplier": Range(0.0, 100.0),
    "dry_base": Range(0.0, 100.0),
    "dry_allowed_length": Range(0, MANY, True),
    "dry_penalty_last_n": Range(0, 2**20, True, ((-1, -1),)),
    "mirostat": Range(0, 2, True),
    "mirostat_tau": Range(0.0, 100.0),
    "mirostat_eta": Range(0.0, 10.0),
    "adaptive_target": Range(-1.0, 1.0),
    "adaptive_decay": Range(0.0, 1.0),
    "min_tokens": Range(0, MANY, True),
    "logprobs": Range(0, MAX_LOGPROBS, True),
}


class Rule(Protocol):
    def checked(self, name: str, given: Any) -> Any:
        """What is kept of it; ArgumentError names the parameter."""


class _Flag:
    def checked(self, name: str, given: Any) -> bool:
        value = unwrapped(given)
        if not isinstance(value, bool):
            raise ArgumentError(name, shown(given), "is not a boolean; give True or False")
        return value


FLAG: Rule = _Flag()

#: What each parameter may be.
RULES: Mapping[str, Rule] = {
    **RANGES,
    "dry_sequence_breakers": lists.Texts(lists.MAX_DRY_BREAKERS, lists.MAX_DRY_BREAKER_BYTES),
    "samplers": lists.Names(SAMPLERS, _SAMPLER_ALIASES),
    "logit_bias": lists.Biases(lists.MAX_LOGIT_BIASES),
    "stop": lists.Texts(lists.MAX_STOP_STRINGS, lists.MAX_STOP_BYTES),
    "stop_token_ids": lists.TokenIds(lists.MAX_STOP_TOKENS),
    "ignore_eos": FLAG,
}


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are drawn, and when to stop. Names and defaults are llama-server's where it has them.

    Numbers may be numpy's, and 0-d arrays; they are kept as Python's. ArgumentError for what a parameter may not be.

    Attributes:
        max_tokens: most tokens to generate; None (or -1, or -2) means until an end token or a full context.
        temperature: 0 draws the most probable token (greedy).
        top_k: keep the k most probable tokens; 0 (or -1) keeps all.
        top_p: keep the smallest set whose probability reaches p; 1 keeps all.
        min_p: drop tokens less probable than min_p times the most probable one; 0 keeps all.
        typical_p: keep the most typical tokens whose probability reaches p; 1 keeps all.
        top_n_sigma: keep tokens within n standard deviations of the largest logit; 0 or less keeps all.
        xtc_probability: how often to drop all but the least of the tokens that reach xtc_threshold; 0 is never.
        xtc_threshold: above 0.5 nothing is dropped.
        dynatemp_range: the temperature lies within this of `temperature`, by the entropy; 0 is off.
        dynatemp_exponent: how entropy becomes a temperature.
        seed: draws at the same position with the same seed are equal; None (or -1) lets the coordinator choose.
        repeat_penalty: divides (or multiplies) the logits of recent tokens; 1 is off.
        repeat_last_n: how many recent tokens (prompt included) the penalties see; 0 is off, -1 all of them.
        presence_penalty, frequency_penalty: subtracted from the logits of recent tokens; 0 is off.
        dry_multiplier: against tokens that would continue a repetition: multiplier * base ** (length - allowed_length)
            is subtracted from their logits; 0 is off.
        dry_base: below 1 is off.
        dry_allowed_length: shorter repetitions are free.
        dry_penalty_last_n: how many recent tokens are searched for repetitions; 0 is off, -1 all of them.
        dry_sequence_breakers: no repetition goes over one of these texts.
        mirostat: 1 or 2 holds the surprise of a text at mirostat_tau bits by this version of Mirostat, behind the
            temperature and in place of all that cuts tokens off; 0 is off.
        mirostat_eta: how fast it learns.
        adaptive_target: draw tokens near this probability; below 0 is off.
        adaptive_decay: for how long it remembers what it drew, about 1 / (1 - decay) tokens; more
            than 0.99 is taken as that.
        samplers: in which order they work, of the names in SAMPLERS; those that are left out do not. Empty is the
            order there. Mirostat has no order.
        logit_bias: added to the logits of tokens, before all else: pairs of token and number, or a dict; -inf bans one.
        min_tokens: no end token, token of stop_token_ids or stop string ends the text before so many tokens.
        stop: generation ends before any of these strings appears.
        stop_token_ids: tokens that end the text, besides the model's end tokens. Like these they add no text.
        logprobs: report this many most probable tokens at each position; 0 reports only the drawn one's
            log probability. The probabilities are the model's own, before penalties, truncation and temperature.
        ignore_eos: end tokens are not drawn, and do not end the text.
    """

    max_tokens: int | None = 128
    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    top_n_sigma: float = -1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    seed: int | None = None
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    adaptive_target: float = -1.0
    adaptive_decay: float = 0.9
    samplers: tuple[str, ...] = ()
    logit_bias: tuple[tuple[int, float], ...] = ()
    min_tokens: int = 0
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    logprobs: int = 0
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            object.__setattr__(self, field.name, RULES[field.name].checked(field.name, given))

    def of_choice(self, choice: int) -> Self:
        """For one of several answers to the same prompt: where there is a seed, theirs follow each other."""
        return self if self.seed is None else replace(self, seed=(self.seed + choice) % 2**63)


# When a text ends is for whoever runs the model to say; all else is what the native sampler takes, by the same names.
ENDING_NAMES = ("max_tokens", "stop", "ignore_eos")
SAMPLER_NAMES = tuple([field.name for field in fields(SamplingParams) if field.name not in ENDING_NAMES])
