"""MicrobatchRoom: which rows go together, how many of them may have logits, and how long what travels with them."""

from __future__ import annotations

from cluster.api.embedding import Pooling
from cluster.engine.chunk import Chunk
from cluster.engine.limits import Limits
from cluster.engine.sequence import Kind, Sequence

# Of one microbatch: grammars and lists of biases may be long, and the message that they travel in has a limit.
MAX_SAMPLING_BYTES = 4 << 20
_BIAS_BYTES = 16


class MicrobatchRoom:
    """What is left of it while a microbatch is formed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._num_logits = limits.max_logits_rows
        self._num_scored = limits.max_scored_rows
        self._num_bytes = MAX_SAMPLING_BYTES
        self._embeds: bool | None = None  # or has logits; None while it is empty
        self._scales: tuple[float, ...] | None = None  # of the adapters in all of its rows; None while it is empty
        self._is_pictured: bool | None = None  # all of its rows are those of pictures, or of tokens
        self._is_closed = False  # its rows see each other: no others may be there

    def num_rows(self, sequence: Sequence, place: int) -> int:
        """Most rows that `sequence` may have in it, from that place on."""
        if self._is_closed or (self._embeds is not None and sequence.inseparable_at(place)):
            return 0
        if self._embeds not in (None, sequence.kind is Kind.EMBED):
            return 0
        if self._scales not in (None, sequence.scales):
            return 0
        if self._is_pictured not in (None, sequence.picture_at(place) is not None):
            return 0
        if sequence.kind is Kind.LOGITS:
            return self._num_logits
        if self._num_bytes < MAX_SAMPLING_BYTES and sampling_bytes(sequence) > self._num_bytes:
            return 0
        # libllama makes room for the logits of each row that is wanted, also where a vector is made of it.
        wants_all = sequence.scores_prompt or sequence.pooling is Pooling.MEAN
        return self._num_scored if wants_all else self._limits.max_batch_tokens

    def take(self, chunk: Chunk) -> None:
        """That much less is left."""
        self._embeds = chunk.is_pooled
        self._scales = chunk.sequence.scales
        self._is_pictured = chunk.picture is not None
        self._is_closed = chunk.non_causal
        self._num_logits -= chunk.num_rows if chunk.returns_logits else 0
        self._num_scored -= len(chunk.pooled_rows) if chunk.is_pooled else chunk.num_scores
        self._num_bytes -= sampling_bytes(chunk.sequence)


def sampling_bytes(sequence: Sequence) -> int:
    """What the parameters of a sequence take that are still to be sent, about, where they are long."""
    params = sequence.params
    if params is None or sequence.sampling_sent:
        return 0
    texts = (*params.stop, params.grammar)
    return 4 * sum(map(len, texts)) + _BIAS_BYTES * len(params.logit_bias)
