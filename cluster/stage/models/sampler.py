"""The sampler behind any last stage: libllama's samplers, on logits that lie anywhere in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter

import worker_native
from cluster.api.errors import ClusterError, UsageError
from cluster.api.sampling import SamplingParams
from cluster.messages.step import Float32Array, SlotSampling
from cluster.stage.model import Masks
from cluster.stage.spec import StageSpec


class NativeSampler:
    """Implements `stage.model.MaskedSampler`."""

    def __init__(
        self, spec: StageSpec, vocab_size: int, token_pieces: Callable[[], Sequence[bytes]] = lambda: ()
    ) -> None:
        """`token_pieces`: the bytes of each token, asked for when a request first needs them; maybe none."""
        native = worker_native.Sampler(vocab_size=vocab_size, n_slots=spec.num_slots, n_ctx=spec.context_length)
        self._native = native
        self.prepare_slot = native.prepare_slot
        self.keep = native.keep
        self._token_pieces = token_pieces
        self._knows_pieces = False
        self._num_top: dict[int, int] = {}  # of tokens that are scored, by slot

    def set(self, sampling: SlotSampling) -> None:
        params = sampling.params
        if params.dry_multiplier > 0 and not self._knows_pieces:
            self._name_tokens()
        self._native.set(sampling.slot, native_params(params), sampling.num_prompt_tokens)
        self._num_top[sampling.slot] = params.prompt_logprobs or 0

    def _name_tokens(self) -> None:
        try:
            pieces = self._token_pieces()
        except ClusterError as error:  # this request's own
            raise UsageError(f"dry_multiplier: the texts of this model's tokens cannot be had: {error}") from error
        if pieces:
            self._native.name_tokens(pieces)
        self._knows_pieces = True

    def score(
        self, logits: Float32Array, rows: Sequence[int], slots: Sequence[int], tokens: Sequence[int]
    ) -> list[worker_native.Sampled]:
        scored: list[worker_native.Sampled] = []
        for slot, of_slot in groupby(zip(slots, rows, tokens, strict=True), itemgetter(0)):
            _, slot_rows, slot_tokens = zip(*of_slot, strict=True)
            scored += self._native.score(logits, slot_rows, slot_tokens, self._num_top[slot])
        return scored

    def sample(
        self,
        logits: Float32Array,
        rows: Sequence[int],
        slots: Sequence[int],
        positions: Sequence[int],
        masks: Masks = (),
    ) -> list[worker_native.Sampled]:
        return self._native.sample(logits, rows, slots, positions, masks)


def native_params(params: SamplingParams) -> worker_native.SamplerParams:
    """What the native sampler takes; it has the same names and ranges."""
    assert params.seed is not None, "the coordinator chooses a seed before a slot is announced"
    return worker_native.SamplerParams(**{name: getattr(params, name) for name in worker_native.SamplerParams.names})
