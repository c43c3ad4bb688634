"""The log probabilities of a prompt's tokens <-> protobuf."""

from __future__ import annotations

from itertools import repeat

from cluster.api.errors import UsageError
from cluster.api.results import PromptLogprob
from cluster.wire.codec.sampling import decode_top, encode_top
from cluster.wire.limits import MAX_INT32, MAX_PROMPT_TOKENS, check_length, check_ranges
from protos import inference_pb2, sampling_pb2


def encode_prompt_logprobs(found: tuple[PromptLogprob, ...]) -> inference_pb2.PromptLogprobs:
    tops = [encode_top(one.top) or sampling_pb2.TopLogprobs() for one in found] if any(one.top for one in found) else ()
    return inference_pb2.PromptLogprobs(
        tokens=[one.token for one in found],
        logprobs=[0.0 if one.logprob is None else one.logprob for one in found],
        tops=tops,
    )


def decode_prompt_logprobs(message: inference_pb2.PromptLogprobs) -> tuple[PromptLogprob, ...]:
    """UsageError names what is out of bounds."""
    check_length("prompt_logprobs.tokens", message.tokens, MAX_PROMPT_TOKENS)
    num_tokens = len(message.tokens)
    if len(message.logprobs) != num_tokens or len(message.tops) not in (0, num_tokens):
        raise UsageError(
            f"prompt_logprobs: {num_tokens} tokens, {len(message.logprobs)} logprobs and {len(message.tops)} tops; "
            "all must have the same length"
        )
    tokens = list(message.tokens)
    check_ranges("prompt_logprobs.tokens", tokens, 0, MAX_INT32)
    logprobs = [None, *list(message.logprobs)[1:]]
    tops = map(decode_top, message.tops) if message.tops else repeat((), num_tokens)
    return tuple(map(PromptLogprob, tokens, logprobs, tops))
