"""Texts from a program or a module that gives logits: token by token, in batches, by the cluster's parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ggml.sampling.params import SamplingParams

if TYPE_CHECKING:
    from ggml.generation.drawing import LogitsProcessor
    from ggml.generation.results import Generation, TokenEvent


def generate(
    model: Any,
    prompts: Any,
    params: SamplingParams | Sequence[SamplingParams] | None = None,
    *,
    tokenizer: Any = None,
    logits_processors: Sequence[LogitsProcessor] = (),
    context_length: int | None = None,
) -> list[Generation]:
    """A text for each prompt, in their order.

    Args:
        model: a program, or a module of ``ggml.nn``, that takes int64 token ids [batch, tokens] and gives logits
            [batch, tokens, vocabulary] or [batch, vocabulary]. One that keeps keys and values (buffers of a program,
            ``KVCache`` of a module) sees each token once, and may take the positions of the tokens [tokens] as a
            second argument. One that keeps nothing is given the whole text each time, with tokens behind its end,
            which no earlier token may look at. Prompts go together in batches as large as the model takes.
        prompts: lists of token ids, or strings where there is a tokenizer.
        params: one for all prompts, or one for each; the defaults if None. Equal seeds give equal draws.
        tokenizer: the path of a GGUF file or of a ``tokenizer.json`` (which needs the package tokenizers), or an
            object as in ``ggml.generation.tokenizer``. Without one that of the program's file is taken; where that has
            none there is no text, and no stop strings.
        logits_processors: called in order before each draw; each takes the tokens so far and the logits [vocabulary] of
            what follows, float32 and its own to change, and gives logits.
        context_length: most tokens of a prompt and its text. Taken from the model where it tells.

    ArgumentError for a model that takes something else, for prompts that are none or too long, and for parameters that
    this model cannot follow.
    """
    from ggml.generation.results import gathered

    events = generate_stream(
        model, prompts, params, tokenizer=tokenizer, logits_processors=logits_processors, context_length=context_length
    )
    return gathered(events)


def generate_stream(
    model: Any,
    prompts: Any,
    params: SamplingParams | Sequence[SamplingParams] | None = None,
    *,
    tokenizer: Any = None,
    logits_processors: Sequence[LogitsProcessor] = (),
    context_length: int | None = None,
) -> Iterator[TokenEvent]:
    """As ``generate``, one event a token, as they come; the last one of each prompt has its ``finish_reason``.

    What is wrong with the arguments is raised at once, not with the first event.
    """
    from ggml.generation.running import run  # the rules of programs would make ``import ggml`` slower for everybody

    return run(model, prompts, params, tokenizer, tuple(logits_processors), context_length)
