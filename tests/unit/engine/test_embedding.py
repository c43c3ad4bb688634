"""Vectors of texts, beside texts and alone."""

from __future__ import annotations

import numpy as np
import pytest

from cluster.api.embedding import Pooling
from cluster.api.errors import CancelledError, ContextOverflowError
from cluster.api.sampling import SamplingParams
from cluster.engine.limits import Limits
from tests.fakes.fake_stages import alone, logits_row
from tests.unit.engine.test_loop import Run

_LIMITS = Limits(num_slots=4, context_length=200, max_batch_tokens=16, num_stages=2)
_WHOLE = Limits(num_slots=4, context_length=16, max_batch_tokens=16, num_stages=1, can_truncate=False, takes_whole=True)


def test_a_long_text_is_read_in_chunks_and_answered_once() -> None:
    run, prompt = Run(_LIMITS), [n % 17 for n in range(100)]
    readers = {pooling: run.ask(prompt, pooling, at_s=index) for index, pooling in enumerate(Pooling)}
    run.run()
    rows = [logits_row(prompt[:end]) for end in range(1, 101)]
    assert np.array_equal(readers[Pooling.MEAN].vector, np.mean(rows, axis=0).astype(np.float32))
    assert np.array_equal(readers[Pooling.CLS].vector, rows[0])
    assert np.array_equal(readers[Pooling.LAST].vector, rows[-1])
    run.check_nothing_leaks()


def test_texts_beside_vectors_are_what_they_are_alone() -> None:
    run, params = Run(_LIMITS), SamplingParams(seed=3, max_tokens=30, ignore_eos=True)
    texts = [run.ask([n, 5, 7], params) for n in range(3)]
    vectors = [run.ask([n % 11, *range(10)] * 3, Pooling.MEAN, at_s=float(n)) for n in range(20)]
    run.run()
    for n, reader in enumerate(texts):
        assert reader.tokens == alone([n, 5, 7], params, 200).tokens
    assert all(reader.vector.shape == vectors[0].vector.shape for reader in vectors)


def test_the_last_row_starts_from_what_another_text_left() -> None:
    run, shared = Run(_LIMITS), [n % 13 for n in range(64)]
    run.ask([*shared, 1], Pooling.LAST)
    again = run.ask([*shared, 2, 3], Pooling.LAST, at_s=1000.0)
    run.run()
    assert np.array_equal(again.vector, logits_row([*shared, 2, 3]))
    assert sum(step.num_rows for step in run.engine.timings(0)) < 2 * 64


def test_an_encoder_gets_each_text_in_one_microbatch() -> None:
    run = Run(_WHOLE)
    lengths = [16, 1, 9, 9, 7, 16, 3]
    readers = [run.ask(list(range(length)), Pooling.MEAN) for length in lengths]
    too_long = run.ask(list(range(17)), Pooling.MEAN)
    run.run()
    for length, reader in zip(lengths, readers, strict=True):
        rows = [logits_row(list(range(end))) for end in range(1, length + 1)]
        assert np.array_equal(reader.vector, np.mean(rows, axis=0).astype(np.float32))
    assert isinstance(too_long.error, ContextOverflowError)
    with pytest.raises(AssertionError):
        _ = too_long.vector


def test_one_that_is_cancelled_ends_with_that() -> None:
    run = Run(_LIMITS)
    cancelled = run.ask([1] * 150, Pooling.MEAN, cancel_after_s=0.5)
    after = run.ask([1] * 20, Pooling.MEAN, at_s=50.0)
    run.run()
    assert isinstance(cancelled.error, CancelledError)
    assert np.array_equal(
        after.vector, np.mean([logits_row([1] * end) for end in range(1, 21)], axis=0).astype(np.float32)
    )
