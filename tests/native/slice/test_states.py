"""Slots that keep a running state instead of keys and values: what can be taken back, copied and computed together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.native.arch_models import write_model
from tests.native.conftest import ModelFiles, prompt, run
from worker_native import Slice

TOKENS = [5, 99, 17, 64, 23, 8]


@pytest.fixture(scope="module", params=["mamba-dense", "lfm2-dense", "qwen3next-moe"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("states") / "tiny.gguf", request.param)


@pytest.fixture
def state(model: Path) -> Iterator[Slice]:
    with closing(open_slice(model)) as opened:
        yield opened


def open_slice(path: Path) -> Slice:
    return Slice(str(path), n_ctx=64, n_slots=4, n_batch=32, n_ubatch=32)


def test_only_models_of_keys_and_values_can_truncate(state: Slice, model_file: ModelFiles) -> None:
    assert not state.can_truncate
    with closing(open_slice(model_file())) as plain:
        assert plain.can_truncate


def test_a_state_goes_back_to_nothing_only(state: Slice) -> None:
    before = run([state], prompt(TOKENS))
    with pytest.raises(ValueError, match=r"slot 0 keeps a running state of its 6 tokens.* back to 4; only to 0"):
        state.prepare_slot(0, 0, 4)
    assert state.slot_length(0) == 6
    state.prepare_slot(0, 0, 6)
    assert state.slot_length(0) == 6
    state.prepare_slot(0, 0, 0)
    np.testing.assert_array_equal(run([state], prompt(TOKENS)), before)


def test_a_state_is_copied_whole_only(state: Slice) -> None:
    run([state], prompt(TOKENS))
    with pytest.raises(ValueError, match=r"length: slot 0 keeps a running state of its 6 tokens.* back to 3"):
        state.prepare_slot(1, 0, 3)
    state.prepare_slot(1, 0, 6)
    one, other = (run([state], prompt([40, 41], slot, start=6)) for slot in (0, 1))
    np.testing.assert_array_equal(one, other)


def test_slots_do_not_depend_on_their_company(state: Slice, model: Path) -> None:
    """Slot 1 is empty at first: a row that nobody reads fills it. It must leave no trace there."""
    found: dict[int, list[object]] = {0: [], 1: [], 2: []}
    for slot in (0, 2):
        found[slot].append(run([state], prompt(TOKENS, slot)))
    together = run([state], [*prompt([30], 0, 6), *prompt([31], 2, 6)])
    found[0].append(together[:1])
    found[2].append(together[1:])
    found[1].append(run([state], prompt(TOKENS, 1)))
    together = run([state], [*prompt([32], 0, 7), *prompt([33], 1, 6), *prompt([34], 2, 7)])
    for slot in found:
        found[slot].append(together[slot : slot + 1])
    singles = {0: (30, 32), 1: (33,), 2: (31, 34)}
    for slot, tokens in singles.items():
        with closing(open_slice(model)) as alone:
            expected = [run([alone], prompt(TOKENS, slot))]
            expected += [run([alone], prompt([token], slot, 6 + step)) for step, token in enumerate(tokens)]
        for one, other in zip(found[slot], expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)  # F32 products depend on the number of rows
