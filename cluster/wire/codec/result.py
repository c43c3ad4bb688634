"""StepResult <-> its messages: a header with the sampled tokens, and parts of its logits, or of its vectors."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import numpy as np

from cluster.api.errors import UsageError
from cluster.messages.step import SampledToken, StepResult
from cluster.wire import limits
from cluster.wire.codec.failures import decode_failures, encode_failures
from cluster.wire.codec.rows import RowAssembly, split_rows
from cluster.wire.codec.sampling import decode_top, encode_top
from cluster.wire.codec.step_id import decode_step_id, step_id_fields
from cluster.wire.limits import check_length, check_range, check_ranges
from protos import sampling_pb2, stage_pb2

_INT32 = np.dtype("<i4")
_FLOAT64 = np.dtype("<f8")


def encode_result(result: StepResult) -> Iterator[stage_pb2.StageEvent]:
    """The messages of one result: one, but for many logits."""
    # Dicts are read where messages would be serialized and parsed, one in the other.
    header: dict[str, Any] = {"id": step_id_fields(result.id), "has_logits": result.logits is not None}
    rows = result.logits
    if result.embeddings is not None:
        header["has_embeddings"], rows = True, result.embeddings
    if result.failures:
        header["failures"] = encode_failures(result.failures)
    if result.sampled:
        header["sampled"] = _sampled_fields(result.sampled)
    if result.scored:
        header["scored"] = _sampled_fields(result.scored)
    parts: Iterator[bytes] = iter(())
    if rows is not None:
        header["num_rows"], header["vocab_size"] = rows.shape
        parts = split_rows(rows)
    yield stage_pb2.StageEvent(result={"header": header, "logits": next(parts, b"")})
    for part in parts:
        yield stage_pb2.StageEvent(result=stage_pb2.ResultPart(logits=part))


class ResultAssembly:
    """Puts the parts of a stream's results together, one result after the other."""

    def __init__(self) -> None:
        self._header: stage_pb2.ResultHeader | None = None
        self._rows: RowAssembly | None = None

    @property
    def is_open(self) -> bool:
        """Logits of a result are missing."""
        return self._header is not None

    def add(self, part: stage_pb2.ResultPart) -> StepResult | None:
        """The result that this part completes, if it does. UsageError leaves the stream unusable."""
        if part.HasField("header"):
            if self._header is not None:
                raise UsageError("result: a header while logits are missing; send them first")
            self._rows = _rows_for(part.header)
            self._header = part.header
        if self._header is None:
            raise UsageError("result: logits without a header; send the header first")
        if self._rows is not None and not self._rows.is_complete:
            self._rows.add(part.logits)
            if not self._rows.is_complete:
                return None
        elif part.logits:
            raise UsageError("logits: rows that the header did not announce; set num_rows")
        rows = None if self._rows is None else self._rows.take()
        result = StepResult(
            decode_step_id(self._header.id),
            _decode_sampled(self._header.sampled),
            rows if self._header.has_logits else None,
            decode_failures(self._header.failures, limits.MAX_SLOTS),
            _decode_sampled(self._header.scored),
            rows if self._header.has_embeddings else None,
        )
        self._header = self._rows = None
        return result


def _rows_for(header: stage_pb2.ResultHeader) -> RowAssembly | None:
    if header.has_logits and header.has_embeddings:
        raise UsageError("result: logits and embeddings in one; send one of them")
    has_rows = header.has_logits or header.has_embeddings
    check_range("result.num_rows", header.num_rows, 0, limits.MAX_ROWS if has_rows else 0)
    if not has_rows:
        return None
    check_range("result.vocab_size", header.vocab_size, 1, limits.MAX_VOCAB)
    size_bytes = header.num_rows * header.vocab_size * 4
    check_range("result.logits", size_bytes, 0, limits.MAX_LOGITS_BYTES)
    return RowAssembly("logits", header.num_rows, header.vocab_size)


def _sampled_fields(sampled: tuple[SampledToken, ...]) -> dict[str, Any]:
    num_sampled = len(sampled)
    numbers = [token.row for token in sampled] + [token.slot for token in sampled] + [token.token for token in sampled]
    fields: dict[str, Any] = {
        "sampled": struct.pack(f"<{3 * num_sampled}i", *numbers),
        "logprobs": struct.pack(f"<{num_sampled}d", *[token.logprob for token in sampled]),
    }
    tops = [token.top for token in sampled]
    if any(tops):
        fields["tops"] = [encode_top(top) or sampling_pb2.TopLogprobs() for top in tops]
    return fields


def _decode_sampled(message: stage_pb2.SampledTokens) -> tuple[SampledToken, ...]:
    tokens_bytes, logprobs, tops = message.sampled, message.logprobs, message.tops
    num_sampled, rest = divmod(len(logprobs), 8)
    check_length("result.sampled", range(num_sampled), limits.MAX_ROWS)
    if rest or len(tokens_bytes) != 12 * num_sampled or (tops and len(tops) != num_sampled):
        raise UsageError(
            f"result.sampled: {len(tokens_bytes)} bytes of tokens, {len(logprobs)} of logprobs and {len(tops)} tops; "
            "each token takes 12, 8 and 1, or no tops at all"
        )
    if not num_sampled:
        return ()
    rows, slots, tokens = np.frombuffer(tokens_bytes, _INT32).reshape(3, num_sampled).tolist()
    check_ranges("sampled.row", rows, 0, limits.MAX_ROWS - 1)
    check_ranges("sampled.slot", slots, 0, limits.MAX_SLOTS - 1)
    check_ranges("sampled.token", tokens, 0, limits.MAX_VOCAB - 1)
    numbers = np.frombuffer(logprobs, _FLOAT64).tolist()
    return tuple(map(SampledToken, rows, slots, tokens, numbers, map(decode_top, tops) if tops else repeat(())))
