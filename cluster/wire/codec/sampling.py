"""SamplingParams and top log probabilities <-> protobuf. Ranges are checked by SamplingParams itself."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from cluster.api.errors import UsageError
from cluster.api.lists import AdapterScales, Scales
from cluster.api.sampling import PARAM_NAMES, SamplingParams
from cluster.wire.limits import MAX_INT32, check_length, check_ranges
from ggml.sampling.params import MAX_LOGPROBS
from protos import sampling_pb2

_FIELDS = sampling_pb2.Sampling.DESCRIPTOR.fields_by_name
_OPTIONAL = frozenset(name for name in PARAM_NAMES if _FIELDS[name].has_presence)
_DEFAULTS = {field.name: field.default for field in fields(SamplingParams)}


def encode_sampling(params: SamplingParams) -> sampling_pb2.Sampling:
    """What differs from the defaults."""
    given = {name: value for name in PARAM_NAMES if (value := getattr(params, name)) != _DEFAULTS[name]}
    try:
        values: dict[str, Any] = {name: _sendable(name, value) for name, value in given.items()}
        return sampling_pb2.Sampling(**values, until_end=params.max_tokens is None)
    except UnicodeEncodeError as error:
        named = _not_unicode(params)
        raise UsageError(f"{named}: a string is not valid Unicode; remove its lone surrogates") from error


def decode_sampling(message: sampling_pb2.Sampling) -> SamplingParams:
    """Absent fields have their defaults; UsageError names a field that is out of range."""
    given = (name for name in PARAM_NAMES if name not in _OPTIONAL or message.HasField(name))
    values: dict[str, Any] = {name: _received(name, getattr(message, name)) for name in given}
    if message.until_end:
        if "max_tokens" in values:
            raise UsageError("max_tokens: given together with until_end; give only one of them")
        values["max_tokens"] = None
    return SamplingParams(**values)


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


def encode_scales(scales: Scales) -> sampling_pb2.Scales:
    return sampling_pb2.Scales(ids=[one for one, _ in scales], scales=[scale for _, scale in scales])


def decode_scales(field: str, message: sampling_pb2.Scales) -> Scales:
    """UsageError for what is no scale of an adapter, or is there twice."""
    ids, scales = message.ids, message.scales
    if len(ids) != len(scales):
        raise UsageError(f"{field}: {len(ids)} adapters and {len(scales)} scales; give one for each")
    return AdapterScales().checked(field, tuple(zip(ids, scales, strict=True)))


def _sendable(name: str, value: Any) -> Any:
    """Messages stand for lists whose default is not empty, and for pairs."""
    kind = _FIELDS[name].message_type
    if kind is sampling_pb2.Texts.DESCRIPTOR:
        return sampling_pb2.Texts(texts=value)
    if kind is sampling_pb2.Biases.DESCRIPTOR:
        return sampling_pb2.Biases(tokens=[token for token, _ in value], biases=[bias for _, bias in value])
    if kind is sampling_pb2.Scales.DESCRIPTOR:
        return encode_scales(value)
    return value


def _received(name: str, value: Any) -> Any:
    if isinstance(value, sampling_pb2.Texts):
        return tuple(value.texts)
    if isinstance(value, sampling_pb2.Biases):
        if len(value.tokens) != len(value.biases):
            raise UsageError(f"{name}: {len(value.tokens)} tokens and {len(value.biases)} numbers; give one for each")
        return tuple(zip(value.tokens, value.biases, strict=True))
    if isinstance(value, sampling_pb2.Scales):
        return decode_scales(name, value)
    return value if isinstance(value, int | float | str) else tuple(value)


def _not_unicode(params: SamplingParams) -> str:
    """The parameter that has a lone surrogate."""
    for name in PARAM_NAMES:
        value = getattr(params, name)
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str) and not text.isascii() and _is_broken(text) for text in texts):
            return name
    raise AssertionError("every text is valid Unicode")


def _is_broken(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)
