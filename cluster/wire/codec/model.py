"""What is known of the model, and its tokens <-> messages, in parts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, chain, pairwise

from cluster.api.errors import UnreachableError, UsageError
from cluster.api.model import ModelInfo, TokenKind, VocabularyTable
from cluster.wire import limits
from cluster.wire.codec.record import fields_of, record_of
from cluster.wire.limits import check_length, check_range
from protos import inference_pb2

_MODEL_BOUNDS = {
    "model.context_length": (0, limits.MAX_CONTEXT),
    "model.hidden_width": (0, limits.MAX_HIDDEN_WIDTH),
    "model.vocab_size": (0, limits.MAX_VOCAB),
    "model.end_tokens": (0, limits.MAX_VOCAB),
    "model.chat_templates": (0, limits.MAX_TEMPLATES),
    "model.chat_templates.value": (0, limits.MAX_TEMPLATE_CHARS + 1),
    "model.metadata": (0, limits.MAX_METADATA),
    "model.metadata.value": (0, limits.MAX_METADATA_CHARS),
}
_KINDS = tuple(TokenKind)  # GGUF numbers them in this order, from 1


def encode_model(info: ModelInfo) -> Iterator[inference_pb2.ModelReply]:
    """Messages to be merged, each of about PART_BYTES at most."""
    part = inference_pb2.ModelReply(**fields_of(info) | {"chat_templates": {}, "metadata": {}})
    for name in ("chat_templates", "metadata"):
        for key, value in getattr(info, name).items():
            getattr(part, name)[key] = value
            if part.ByteSize() >= limits.PART_BYTES:
                yield part
                part = inference_pb2.ModelReply()
    yield part


class ModelParts:
    """Merges the messages of one answer."""

    def __init__(self) -> None:
        self._merged = inference_pb2.ModelReply()
        self._num_bytes = 0

    def add(self, part: inference_pb2.ModelReply) -> None:
        """UsageError if it is too much."""
        self._num_bytes += part.ByteSize()
        check_range("model.size", self._num_bytes, 0, limits.MAX_MODEL_BYTES)
        self._merged.MergeFrom(part)

    def finish(self) -> ModelInfo:
        """What the messages say. UnreachableError if there was none; UsageError names what is out of its bounds."""
        if not self._num_bytes:
            raise UnreachableError("model: the stream ended before it began; ask again")
        return record_of(ModelInfo, self._merged, "model", _MODEL_BOUNDS)


def encode_vocabulary(table: VocabularyTable) -> Iterator[inference_pb2.VocabularyPart]:
    """Messages of some tokens each. UsageError for a token too long to be sent."""
    size = len(table.pieces)
    starts = range(0, size, limits.MAX_PART_TOKENS)
    for start in starts:
        yield from _split(table, start, min(start + limits.MAX_PART_TOKENS, size))


def _split(table: VocabularyTable, start: int, end: int) -> Iterator[inference_pb2.VocabularyPart]:
    """Tokens [start, end), in halves as long as they are too much for one message."""
    pieces = table.pieces[start:end]
    num_bytes = sum(map(len, pieces))
    if num_bytes > limits.PART_BYTES and end - start > 1:
        middle = (start + end) // 2
        yield from _split(table, start, middle)
        yield from _split(table, middle, end)
        return
    check_length(f"vocabulary: token {start}", pieces[0], limits.PART_BYTES)
    kinds = bytes(1 + _KINDS.index(kind) for kind in table.kinds[start:end])
    yield inference_pb2.VocabularyPart(lengths=map(len, pieces), pieces=b"".join(pieces), kinds=kinds)


class VocabularyParts:
    """Puts the messages of one answer together."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._kinds: list[TokenKind] = []
        self._num_bytes = 0

    def add(self, part: inference_pb2.VocabularyPart) -> None:
        """UsageError for what does not fit together, or is too much."""
        lengths, data, kinds = list(part.lengths), part.pieces, part.kinds
        self._num_bytes += len(data)
        check_range("vocabulary.size", self._num_bytes, 0, limits.MAX_MODEL_BYTES)
        check_range("vocabulary.tokens", len(self._pieces) + len(lengths), 0, limits.MAX_VOCAB)
        if sum(lengths) != len(data) or len(kinds) != len(lengths):
            raise UsageError(
                f"vocabulary: {len(lengths)} tokens of {sum(lengths)} bytes, with {len(data)} bytes and {len(kinds)} "
                "kinds; run the same version of ggml-cluster on both ends"
            )
        if kinds:
            check_range("vocabulary.kinds", min(kinds), 1, len(_KINDS))
            check_range("vocabulary.kinds", max(kinds), 1, len(_KINDS))
        self._pieces += (data[begin:end] for begin, end in pairwise(accumulate(chain((0,), lengths))))
        self._kinds += (_KINDS[kind - 1] for kind in kinds)

    def finish(self) -> VocabularyTable:
        """UnreachableError if there was none."""
        if not self._pieces:
            raise UnreachableError("vocabulary: the stream ended before it began; ask again")
        return VocabularyTable(tuple(self._pieces), tuple(self._kinds))
