"""The flags that are sampling parameters: one for each field of SamplingParams, named as in llama.cpp."""

from __future__ import annotations

import argparse
from dataclasses import Field, fields
from typing import Any

from cluster.api.sampling import RANGES, SamplingParams
from cluster.cli.spelling import Spelling, add_flag

_SPELLINGS = {
    "max_tokens": Spelling(("-n", "--predict", "--n-predict"), "N", "most tokens to generate; -1 or -2: until the end"),
    "temperature": Spelling(("--temp", "--temperature"), "T", "temperature; 0 is greedy"),
    "top_k": Spelling((), "K", "of the K most probable tokens; 0 or -1: of all"),
    "top_p": Spelling((), "P", "of the most probable ones that make up P; 1: off"),
    "min_p": Spelling((), "P", "of those at least P times as probable as the first"),
    "seed": Spelling(("-s", "--seed"), None, "repeat a text; -1: another each time"),
    "repeat_penalty": Spelling((), None, "of recent tokens; 1: off"),
    "repeat_last_n": Spelling((), "N", "recent tokens; 0: off, -1: all"),
    "presence_penalty": Spelling((), None, "0: off"),
    "frequency_penalty": Spelling((), None, "0: off"),
    "stop": Spelling(("--stop", "-r", "--reverse-prompt"), "TEXT", "end before this text; repeatable"),
    "ignore_eos": Spelling((), None, "go on after an end token"),
}
WITHOUT_FLAG = ("logprobs",)  # the text is all that is printed


def add_param_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each parameter."""
    for field in fields(SamplingParams):
        if field.name not in WITHOUT_FLAG:
            spelling = _SPELLINGS.get(field.name) or Spelling(help=str(RANGES.get(field.name, "")))
            add_flag(parser, field.name, spelling, _default(field), **_kind(field))


def given_params(options: argparse.Namespace) -> SamplingParams:
    """Only what was asked for: the defaults are those of SamplingParams."""
    given = {field.name: getattr(options, field.name, None) for field in fields(SamplingParams)}
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
