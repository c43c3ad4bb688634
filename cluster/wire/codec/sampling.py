"""SamplingParams and top log probabilities <-> protobuf. Ranges are checked by SamplingParams itself."""

from __future__ import annotations

from typing import Any

from cluster.api.errors import UsageError
from cluster.api.sampling import MAX_LOGPROBS, MAX_STOP_STRINGS, PARAM_NAMES, SamplingParams
from cluster.wire.limits import MAX_INT32, check_length, check_ranges
from protos import sampling_pb2

_FIELDS = sampling_pb2.Sampling.DESCRIPTOR.fields_by_name
_OPTIONAL = frozenset(name for name in PARAM_NAMES if _FIELDS[name].has_presence)


def encode_sampling(params: SamplingParams) -> sampling_pb2.Sampling:
    values: dict[str, Any] = {name: getattr(params, name) for name in PARAM_NAMES}
    try:
        return sampling_pb2.Sampling(**values, until_end=params.max_tokens is None)
    except UnicodeEncodeError as error:
        raise UsageError("stop: a string is not valid Unicode; remove its lone surrogates") from error


def decode_sampling(message: sampling_pb2.Sampling) -> SamplingParams:
    """Absent fields have their defaults; UsageError names a field that is out of range."""
    check_length("stop", message.stop, MAX_STOP_STRINGS)
    given = (name for name in PARAM_NAMES if name not in _OPTIONAL or message.HasField(name))
    values: dict[str, Any] = {name: getattr(message, name) for name in given}
    if message.until_end:
        if "max_tokens" in values:
            raise UsageError("max_tokens: given together with until_end; give only one of them")
        values["max_tokens"] = None
    return SamplingParams(**{**values, "stop": tuple(message.stop)})


def encode_top(top: tuple[tuple[int, float], ...]) -> sampling_pb2.TopLogprobs | None:
    if not top:
        return None
    return sampling_pb2.TopLogprobs(tokens=[token for token, _ in top], logprobs=[logprob for _, logprob in top])


def decode_top(message: sampling_pb2.TopLogprobs) -> tuple[tuple[int, float], ...]:
    check_length("top.tokens", message.tokens, MAX_LOGPROBS)
    tokens, logprobs = list(message.tokens), message.logprobs
    if len(tokens) != len(logprobs):
        raise UsageError(f"top: {len(tokens)} tokens and {len(logprobs)} logprobs; both must have the same length")
    check_ranges("top.tokens", tokens, 0, MAX_INT32)
    return tuple(zip(tokens, logprobs, strict=True))
