"""Rows that are no tokens, but a picture's: penalties look at what they would see without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cluster.api.sampling import SamplingParams
from cluster.messages.step import NO_TOKEN
from cluster.stage.models.sampler import native_params
from worker_native import Sampler

VOCAB = 40
TEXT = [5, 6, 7, 5, 6]
GAPPED = [NO_TOKEN, 5, 6, NO_TOKEN, NO_TOKEN, 7, 5, NO_TOKEN, 6]
CASES: list[dict[str, Any]] = [
    {"presence_penalty": 3.0, "repeat_last_n": -1},
    {"frequency_penalty": 1.5, "repeat_last_n": 3},
    {"repeat_penalty": 4.0, "repeat_last_n": 2},
    {"dry_multiplier": 5.0, "dry_allowed_length": 1, "dry_penalty_last_n": -1},
]


def holding(tokens: list[int], changes: dict[str, Any]) -> Sampler:
    made = Sampler(vocab_size=VOCAB, n_slots=2, n_ctx=32)
    made.name_tokens([bytes([65 + token]) for token in range(VOCAB)])
    where = np.arange(len(tokens), dtype=np.int32)
    made.keep(np.array(tokens, np.int32), where, np.zeros(len(tokens), np.int32))
    made.set(0, native_params(SamplingParams(temperature=0.0, seed=1, **changes)), len(tokens))
    return made


@pytest.mark.parametrize("changes", CASES, ids=lambda changes: next(iter(changes)))
def test_what_is_drawn_is_as_if_they_were_not_there(changes: dict[str, Any]) -> None:
    plain, gapped = holding(TEXT, changes), holding(GAPPED, changes)
    logits = np.random.default_rng(3).normal(0, 0.5, (60, VOCAB)).astype(np.float32)
    logits[:, [5, 6, 7]] += 1.0
    rows = list(range(len(logits)))
    of_plain = plain.sample(logits, rows, [0] * len(rows), [len(TEXT) - 1] * len(rows))
    of_gapped = gapped.sample(logits, rows, [0] * len(rows), [len(GAPPED) - 1] * len(rows))
    assert [one.token for one in of_gapped] == [one.token for one in of_plain]
    assert [one.token for one in of_plain] != logits.argmax(axis=1).tolist(), "nothing was penalised"


def test_a_slot_that_starts_from_such_rows_passes_them_over_too_and_one_that_is_emptied_has_none() -> None:
    changes = CASES[0]
    gapped = holding(GAPPED, changes)
    gapped.prepare_slot(1, 0, 4)  # 5 and 6, and two rows that are no tokens
    params = native_params(SamplingParams(temperature=0.0, seed=1, **changes))
    gapped.set(1, params, 4)
    logits = np.zeros((1, VOCAB), np.float32)
    logits[0, [5, 6, 7, 8]] = 2.0, 2.0, 1.0, 0.5
    assert gapped.sample(logits, [0], [1], [3])[0].token == 7
    gapped.prepare_slot(1, 1, 0)
    gapped.keep(np.array([7], np.int32), np.zeros(1, np.int32), np.ones(1, np.int32))
    gapped.set(1, params, 1)
    assert gapped.sample(logits, [0], [1], [0])[0].token == 5
