"""The model that drafts guesses what it would say greedily, whatever it guessed and read before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cluster.coordinator.drafting.follower import Follower, Told
from tests.fakes.tiny_models import TinyModel, write_tiny
from worker_native import Slice

CONTEXT = 32


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "m.gguf", TinyModel(num_layers=2))


def loaded(path: Path, n_slots: int = 2, n_ctx: int = CONTEXT) -> Slice:
    return Slice(str(path), n_ctx=n_ctx, n_slots=n_slots, n_batch=8, n_ubatch=8)


@pytest.fixture
def model(path: Path) -> Iterator[Slice]:
    found = loaded(path)
    yield found
    found.close()


def greedy(path: Path, text: list[int], length: int) -> list[int]:
    """Each token from an empty slot, row by row."""
    model, found = loaded(path, 1, 2 * CONTEXT), list(text)
    for _ in range(length):
        model.prepare_slot(0, 0, 0)
        for position, token in enumerate(found):
            one = (np.array([value], np.int32) for value in (token, position, 0))
            model.forward(*one, np.array([True]))
        found.append(int(model.wanted_logits()[0].argmax()))
    model.close()
    return found[len(text) :]


def test_guesses_are_greedy_and_texts_go_where_they_like(path: Path, model: Slice) -> None:
    follower, text = Follower(model), [1, 7, 9, 30, 4]
    first = follower.guess([Told(0, 0, tuple(text))], 4)
    assert first == [greedy(path, text, 4)]
    # All were right, and one came behind them.
    text += [*first[0], 12]
    assert follower.guess([Told(0, 5, (*first[0], 12))], 3) == [greedy(path, text, 3)]
    # The second token was not what was guessed.
    again = follower.guess([Told(0, len(text), ())], 3)
    text += [again[0][0], (again[0][1] + 1) % 200]
    assert follower.guess([Told(0, len(text) - 2, tuple(text[-2:]))], 2) == [greedy(path, text, 2)]
    # Another text in the same slot, which begins as this one did.
    other = [*text[:3], 50, 51]
    assert follower.guess([Told(0, 3, (50, 51))], 3) == [greedy(path, other, 3)]


def test_several_texts_at_once_and_long_ones(path: Path, model: Slice) -> None:
    follower = Follower(model)
    long, short = [1 + place for place in range(21)], [3, 5]
    assert follower.guess([Told(1, 0, tuple(long))], 0) == [[]], "it is read only"
    read = model.slot_length(1)
    assert read == len(long) - 1
    both = follower.guess([Told(1, 21, (60,)), Told(0, 0, tuple(short))], 3)
    assert both == [greedy(path, [*long, 60], 3), greedy(path, short, 3)]


def test_a_full_slot_ends_its_guesses_only(path: Path, model: Slice) -> None:
    follower, full = Follower(model), [2] * (CONTEXT - 1)
    both = follower.guess([Told(0, 0, tuple(full)), Told(1, 0, (5,))], 6)
    assert both == [greedy(path, full, 1) + both[0][1:], greedy(path, [5], 6)]
    assert len(both[0]) == 2


@pytest.mark.parametrize(
    "told",
    [
        [Told(0, 0, ())],
        [Told(2, 0, (1,))],
        [Told(-1, 0, (1,))],
        [Told(0, 0, (1,)), Told(0, 0, (1,))],
        [Told(0, 0, (1,) * (CONTEXT + 1))],
        [Told(0, 0, (100_000,))],
    ],
)
def test_what_cannot_be_is_refused(model: Slice, told: list[Told]) -> None:
    with pytest.raises(ValueError, match=r"slot|token"):
        Follower(model).guess(told, 1)
