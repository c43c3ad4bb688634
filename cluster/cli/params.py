"""The flags that are sampling parameters: one for each field of SamplingParams, named as in llama.cpp."""

from __future__ import annotations

import argparse
import re
from dataclasses import Field, fields
from typing import Any

from cluster.api.sampling import RANGES, SamplingParams
from cluster.cli.spelling import Spelling, add_flag


def _bias(given: str) -> tuple[int, float]:
    """As llama.cpp writes it: 15043+1, 15043-0.5, 15043-inf."""
    parts = re.fullmatch(r"(\d{1,10})([+-](?:inf|\d*\.?\d+))", given.strip())
    if parts is None:
        raise argparse.ArgumentTypeError(f"{given!r} is no token id and bias; give them as 15043+1, or 15043-inf")
    return int(parts[1]), float(parts[2])


_SPELLINGS = {
    "max_tokens": Spelling(("-n", "--predict", "--n-predict"), "N", "most tokens to generate; -1 or -2: until the end"),
    "temperature": Spelling(("--temp", "--temperature"), "T", "temperature; 0 is greedy"),
    "top_k": Spelling((), "K", "of the K most probable tokens; 0 or -1: of all"),
    "top_p": Spelling((), "P", "of the most probable ones that make up P; 1: off"),
    "min_p": Spelling((), "P", "of those at least P times as probable as the first"),
    "typical_p": Spelling(("--typical", "--typical-p"), "P", "of the most typical ones that make up P; 1: off"),
    "top_n_sigma": Spelling(
        ("--top-nsigma", "--top-n-sigma"), "N", "within N deviations of the largest logit; -1: off"
    ),
    "xtc_probability": Spelling((), "P", "how often the most probable ones are left out; 0: never"),
    "xtc_threshold": Spelling((), "P", "those that reach P, but the least of them; above 0.5: off"),
    "dynatemp_range": Spelling((), "T", "the temperature varies by T, with the entropy; 0: off"),
    "dynatemp_exponent": Spelling(("--dynatemp-exp", "--dynatemp-exponent"), None, "how entropy becomes temperature"),
    "seed": Spelling(("-s", "--seed"), None, "repeat a text; -1: another each time"),
    "repeat_penalty": Spelling((), None, "of recent tokens; 1: off"),
    "repeat_last_n": Spelling((), "N", "recent tokens; 0: off, -1: all"),
    "presence_penalty": Spelling((), None, "0: off"),
    "frequency_penalty": Spelling((), None, "0: off"),
    "dry_multiplier": Spelling((), None, "against repeated sequences; 0: off"),
    "dry_base": Spelling((), None, "how fast that grows with their length; below 1: off"),
    "dry_allowed_length": Spelling((), "N", "shorter ones are free"),
    "dry_penalty_last_n": Spelling((), "N", "recent tokens that are searched for them; 0: off, -1: all"),
    "dry_sequence_breakers": Spelling(
        ("--dry-sequence-breaker",),
        "TEXT",
        "none goes over this text; repeatable, in place of the defaults; none: no such text",
    ),
    "mirostat": Spelling((), "N", "hold the surprise: Mirostat 1 or 2; 0: off"),
    "mirostat_tau": Spelling(("--mirostat-ent", "--mirostat-tau"), None, "at so many bits"),
    "mirostat_eta": Spelling(("--mirostat-lr", "--mirostat-eta"), None, "how fast that is learnt"),
    "adaptive_target": Spelling((), "P", "draw tokens near this probability; -1: off"),
    "adaptive_decay": Spelling((), None, "for how long that remembers"),
    "samplers": Spelling((), "NAMES", "in which order they work, separated by ;", {"action": "store"}),
    "logit_bias": Spelling(
        ("-l", "--logit-bias"), "TOKEN+BIAS", "add to a logit; -inf bans; repeatable", {"type": _bias}
    ),
    "min_tokens": Spelling((), "N", "do not end before so many"),
    "stop_token_ids": Spelling(("--stop-token-id",), "ID", "end at this token; repeatable", {"type": int}),
    "stop": Spelling(("--stop", "-r", "--reverse-prompt"), "TEXT", "end before this text; repeatable"),
    "ignore_eos": Spelling((), None, "go on after an end token"),
}
# The text is all that is printed, as it is; what a grammar is, is not for a command line.
WITHOUT_FLAG = ("logprobs", "prompt_logprobs", "grammar", "grammar_prefix", "shown_tokens", "report_progress", "lora")
_NO_BREAKER = "none"


def add_param_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each parameter."""
    for field in fields(SamplingParams):
        if field.name not in WITHOUT_FLAG:
            spelling = _SPELLINGS.get(field.name) or Spelling(help=str(RANGES.get(field.name, "")))
            add_flag(parser, field.name, spelling, _default(field), **_kind(field))


def given_params(options: argparse.Namespace) -> SamplingParams:
    """Only what was asked for: the defaults are those of SamplingParams."""
    given = {field.name: getattr(options, field.name, None) for field in fields(SamplingParams)}
    if given["dry_sequence_breakers"] is not None:
        given["dry_sequence_breakers"] = [text for text in given["dry_sequence_breakers"] if text != _NO_BREAKER]
    return SamplingParams(**{name: value for name, value in given.items() if value is not None})


def _kind(field: Field[Any]) -> dict[str, Any]:
    """What argparse needs to know: of a number by its range, of anything else by its default."""
    if field.name in RANGES:
        return {"type": int if RANGES[field.name].is_whole else float}
    return {"action": "store_true" if isinstance(field.default, bool) else "append"}


def _default(field: Field[Any]) -> str:
    """As a user gives it: None is what stands for it."""
    if field.name not in RANGES:
        return ""
    if field.default is not None:
        return f"{field.default:g}"
    return str(next(alias for alias, stands_for in RANGES[field.name].instead if stands_for is None))
