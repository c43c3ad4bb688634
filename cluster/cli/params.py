"""The flags that are sampling parameters: one for each field of SamplingParams, named as in llama.cpp."""

from __future__ import annotations

import argparse
from dataclasses import Field, dataclass, fields
from typing import Any

from cluster.api.sampling import RANGES, SamplingParams


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a parameter is given. Without `flags` it is its own name; without `help` its range explains it."""

    flags: tuple[str, ...] = ()
    metavar: str | None = None
    help: str = ""


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
    """A flag for each parameter; None where it is not given."""
    for field in fields(SamplingParams):
        if field.name not in WITHOUT_FLAG:
            spelling = _SPELLINGS.get(field.name, Spelling())
            flags = spelling.flags or (f"--{field.name.replace('_', '-')}",)
            parser.add_argument(*flags, dest=field.name, **_kind(field, spelling))


def given_params(options: argparse.Namespace) -> SamplingParams:
    """Only what was asked for: the defaults are those of SamplingParams."""
    given = {field.name: getattr(options, field.name, None) for field in fields(SamplingParams)}
    return SamplingParams(**{name: value for name, value in given.items() if value is not None})


def _kind(field: Field[Any], spelling: Spelling) -> dict[str, Any]:
    """What argparse needs to know of it: numbers by their range, and what is no number by its default."""
    allowed = RANGES.get(field.name)
    if allowed is not None:
        text = f"{spelling.help or allowed} (default: {_default(field)})"
        return {"type": int if allowed.is_whole else float, "metavar": spelling.metavar, "help": text}
    if isinstance(field.default, bool):
        return {"action": "store_true", "default": None, "help": spelling.help}
    return {"action": "append", "metavar": spelling.metavar, "help": spelling.help}


def _default(field: Field[Any]) -> str:
    """As a user gives it: None is what stands for it."""
    if field.default is not None:
        return f"{field.default:g}"
    return str(next(alias for alias, stands_for in RANGES[field.name].instead if stands_for is None))
