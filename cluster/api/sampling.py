"""Sampling parameters of a request: those of `ggml`, and what a service adds. Checked once where they enter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from cluster.api import lists
from cluster.api.numbers import Range, usage_errors
from ggml.sampling import params
from ggml.sampling.lists import TokenIds
from ggml.sampling.params import FLAG, MAX_LOGPROBS, Rule

MAX_GRAMMAR_BYTES = 256 << 10
MAX_GRAMMAR_PREFIX_BYTES = 16 << 10  # whose tokens a stage takes in between two steps, in 25 ms at most

RANGES = {
    **params.RANGES,
    "prompt_logprobs": Range(0, MAX_LOGPROBS, True, ((-1, None),)),
}

_RULES: Mapping[str, Rule] = {
    **params.RULES,
    **RANGES,
    "grammar": lists.Text(MAX_GRAMMAR_BYTES),
    "grammar_prefix": lists.Text(MAX_GRAMMAR_PREFIX_BYTES),
    "shown_tokens": TokenIds(lists.MAX_SHOWN_TOKENS),
    "report_progress": FLAG,
    "lora": lists.AdapterScales(),
}


@dataclass(frozen=True, slots=True)
class SamplingParams(params.SamplingParams):
    """How tokens are drawn, when to stop, and what is told of it. UsageError for what a parameter may not be.

    Attributes:
        prompt_logprobs: report each prompt token's log probability, and as many most probable tokens at its position;
            None (or -1) reports none. Such a prompt is computed whole.
        grammar: only texts that it describes are drawn; see `cluster.grammar`. Empty is none.
        grammar_prefix: what of such a text the prompt ends with already; what is drawn goes on from it.
        shown_tokens: control tokens whose names appear in the text; of others there is none.
        report_progress: events without a token tell how far the prompt was read.
        lora: what the cluster's adapters are multiplied by: pairs of an adapter's id and its scale, or a dict; one that
            is left out counts 0. Empty is what the cluster has for requests that say nothing of it.
    """

    prompt_logprobs: int | None = None
    grammar: str = ""
    grammar_prefix: str = ""
    shown_tokens: tuple[int, ...] = ()
    report_progress: bool = False
    lora: lists.Scales = ()

    def __post_init__(self) -> None:
        with usage_errors():
            for field in fields(self):
                given = getattr(self, field.name)
                object.__setattr__(self, field.name, rule_of(field.name).checked(field.name, given))


def rule_of(name: str) -> Rule:
    """What a parameter may be: a range, a rule for lists or texts, or a flag."""
    return _RULES[name]


PARAM_NAMES = tuple(field.name for field in fields(SamplingParams))
