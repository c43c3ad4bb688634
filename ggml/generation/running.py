"""The loop: feed what is known, draw what is not, until all texts have ended."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError, DTypeError
from ggml.generation.decoders import Decoder, decoder_of
from ggml.generation.drawing import Drawing, LogitsProcessor
from ggml.generation.results import TokenEvent
from ggml.generation.text import Text, completed
from ggml.generation.tokenizer import Tokenizer, tokenizer_for
from ggml.sampling.params import SamplingParams


def run(
    model: Any,
    prompts: Any,
    params: SamplingParams | Sequence[SamplingParams] | None,
    tokenizer: Any,
    processors: tuple[LogitsProcessor, ...],
    context_length: int | None,
) -> Iterator[TokenEvent]:
    """See ``ggml.generate_stream``: checks here, events later."""
    spelling = tokenizer_for(model, tokenizer)
    ids = [_ids(place, prompt, spelling) for place, prompt in enumerate(_listed(prompts))]
    each = [completed(one, spelling, secrets.randbits(63)) for one in _params(params, len(ids))]
    decoder = decoder_of(model, context_length, _longest(ids, each))
    context = decoder.context_length
    for place, prompt in enumerate(ids):
        if len(prompt) > context:
            raise ArgumentError("generate", f"prompts[{place}]", f"has {len(prompt)} tokens; the model takes {context}")
    texts = [Text(at, prompt, one, spelling, context) for at, (prompt, one) in enumerate(zip(ids, each, strict=True))]
    return _events(decoder, texts, spelling, processors)


def _events(
    decoder: Decoder, texts: list[Text], tokenizer: Tokenizer | None, processors: tuple[LogitsProcessor, ...]
) -> Iterator[TokenEvent]:
    yield from (text.ended() for text in texts if text.finish_reason is not None)
    waiting = [text for text in texts if text.finish_reason is None]
    size = decoder.num_rows or len(waiting)
    for first in range(0, len(waiting), max(size, 1)):
        yield from _batch(decoder, waiting[first : first + size], tokenizer, processors)


def _batch(
    decoder: Decoder, texts: list[Text], tokenizer: Tokenizer | None, processors: tuple[LogitsProcessor, ...]
) -> Iterator[TokenEvent]:
    """All texts stand at the same position: where one's prompt goes on, the others' texts have begun."""
    decoder.begin(len(texts))
    drawing: Drawing | None = None
    position = 0
    while any(text.finish_reason is None for text in texts):
        known = min(len(text.tokens) for text in texts if text.finish_reason is None)
        for count in pieces(known - position, decoder.most_tokens):
            tokens = _rows(texts, position, count)
            logits = decoder.feed(tokens)
            if drawing is None:
                drawing = Drawing(texts, logits.shape[1], decoder.context_length, tokenizer, processors)
            drawing.keep(tokens, position)
            position += count
        assert drawing is not None
        slots = [at for at, text in enumerate(texts) if text.finish_reason is None and len(text.tokens) == position]
        for slot, found in zip(slots, drawing.draw(logits, slots, position - 1), strict=True):
            yield texts[slot].drawn(found)


def pieces(count: int, most: int) -> list[int]:
    """Powers of two that add up to ``count``, none over ``most``: each length is recorded once, for all prompts."""
    found = []
    while count > 0:
        size = 1 << (min(count, most).bit_length() - 1)
        found.append(size)
        count -= size
    return found


def _rows(texts: list[Text], position: int, count: int) -> NDArray[np.int64]:
    """The next tokens of each text. One that has ended goes on with token 0, which nobody sees."""
    rows = np.zeros((len(texts), count), np.int64)
    for row, text in zip(rows, texts, strict=True):
        part = text.tokens[position : position + count]
        row[: len(part)] = part
    return rows


def _listed(prompts: Any) -> list[Any]:
    if isinstance(prompts, str) or not isinstance(prompts, (list, tuple)):
        raise DTypeError("generate", "a list of prompts", type(prompts).__name__)
    return list(prompts)


def _ids(place: int, prompt: Any, tokenizer: Tokenizer | None) -> list[int]:
    name = f"prompts[{place}]"
    if isinstance(prompt, str):
        if tokenizer is None:
            raise ArgumentError("generate", name, "is a string, which needs a tokenizer")
        found = tokenizer.encode(prompt)
    else:
        try:
            array = np.asarray(prompt.tolist() if hasattr(prompt, "tolist") else prompt)
        except ValueError:
            raise ArgumentError("generate", name, "is no list of token ids") from None
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise ArgumentError("generate", name, "is neither a string nor a list of token ids")
        found = [int(token) for token in array.tolist()]
    if not found:
        raise ArgumentError("generate", name, "has no tokens; give at least one")
    if min(found) < 0 or max(found) >= 2**31:
        raise ArgumentError("generate", name, f"has the token {min(found) if min(found) < 0 else max(found)}")
    return found


def _params(params: SamplingParams | Sequence[SamplingParams] | None, count: int) -> list[SamplingParams]:
    found = [SamplingParams()] * count if params is None else params
    listed = [found] * count if isinstance(found, SamplingParams) else list(found)
    if not all(isinstance(one, SamplingParams) for one in listed):
        raise DTypeError("generate", "SamplingParams", type(params).__name__)
    if len(listed) != count:
        raise ArgumentError("generate", "params", f"are {len(listed)} for {count} prompts")
    return listed


def _longest(ids: list[list[int]], params: list[SamplingParams]) -> int | None:
    """Most tokens that may be asked for; None where a text is to go on until it ends."""
    if any(one.max_tokens is None for one in params):
        return None
    return max((len(prompt) + (one.max_tokens or 0) for prompt, one in zip(ids, params, strict=True)), default=1)
