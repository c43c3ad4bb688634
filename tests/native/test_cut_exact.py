"""Slices are exact: run one after the other, they give bit for bit the logits of the whole model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import worker_native
from cluster.cutting.cuts import legal_cuts
from cluster.store.opened import OpenModel
from cluster.store.slices import SliceStore
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny

pytestmark = pytest.mark.native

MODELS = {
    "llama": TinyModel("llama"),
    "llama-tied-q8": TinyModel("llama", tied=True, kind="Q8_0"),
    "llama-rope-factors": TinyModel("llama", rope_factors=True, num_layers=3),
    "llama-experts-q8": TinyModel("llama", num_experts=4, kind="Q8_0", num_layers=3),
    # 96 is no multiple of a Q1_0 block: the zeros that stand in are F16 then.
    "llama-narrow": TinyModel("llama", width=96, num_layers=2),
    "qwen2-q8": TinyModel("qwen2", kind="Q8_0"),
    "qwen2-tied": TinyModel("qwen2", tied=True, num_layers=3),
    "qwen3": TinyModel("qwen3", num_layers=3),
    "qwen3-tied-q8": TinyModel("qwen3", tied=True, kind="Q8_0"),
    # Layers 0, 1 and 3, 4 slide: the cuts give slices where all slide, none does, and both.
    "gemma3-period": TinyModel("gemma3", tied=True, num_layers=6, window=4, period=3),
    "gemma3-default-period": TinyModel("gemma3", num_layers=7, window=4, kind="Q8_0"),
    "gemma3-flags-q8": TinyModel("gemma3", tied=True, kind="Q8_0", window=4, pattern=(0, 1, 1, 0)),
    "gemma3-no-window": TinyModel("gemma3", num_layers=3),
}

Rows = tuple[list[int], list[int], list[int], list[bool]]


def steps(num_tokens: int) -> Iterator[Rows]:
    """(tokens, positions, slots, wants_logits): a prompt of 9, two single tokens, then two slots at once."""
    rng = np.random.default_rng(7)
    draw = lambda count: rng.integers(3, num_tokens, count).tolist()  # noqa: E731
    yield draw(9), list(range(9)), [0] * 9, [False] * 8 + [True]
    yield draw(1), [9], [0], [True]
    yield draw(1), [10], [0], [True]
    yield draw(6), [11, 0, 1, 2, 3, 4], [0, 1, 1, 1, 1, 1], [True, False, True, False, False, True]
    yield draw(2), [12, 5], [0, 1], [True, True]


def run(paths: Sequence[Path], num_tokens: int) -> list[NDArray[np.float32]]:
    """The logits of every step, [rows that want them, V], of the stages at `paths` in a row."""
    found = []
    with ExitStack() as stack:
        stages = [
            stack.enter_context(closing(worker_native.Slice(str(path), n_ctx=64, n_slots=2, n_threads=1)))
            for path in paths
        ]
        for tokens, positions, slots, wants in steps(num_tokens):
            ids, where, which = (np.array(values, np.int32) for values in (tokens, positions, slots))
            hidden = None
            for stage in stages:
                hidden = stage.forward(ids, where, which, np.array(wants), hidden)
            found.append(stages[-1].logits([row for row, wanted in enumerate(wants) if wanted]))
    return found


def slices(store: SliceStore, model: OpenModel, cuts: Sequence[int]) -> list[Path]:
    bounds = [0, *cuts, model.model.num_layers]
    return [store.get_slice(model, *bounds[index : index + 2]).path for index in range(len(bounds) - 1)]


@pytest.mark.parametrize("name", MODELS)
def test_slices_give_the_logits_of_the_whole_model(name: str, tmp_path: Path) -> None:
    model = MODELS[name]
    path = write_tiny(tmp_path / "tiny.gguf", model)
    source, store = opened(path), SliceStore(tmp_path / "store")
    cuts = legal_cuts(source.model)
    assert cuts == tuple(range(1, model.num_layers))
    three_slices = [(1, cut) for cut in cuts[1:]] if len(cuts) > 1 else []
    whole = run([path], model.vocab_size)
    assert np.std(whole[0]) > 0.01
    for chosen in [(cut,) for cut in cuts] + three_slices:
        split = run(slices(store, source, chosen), model.vocab_size)
        for step, (expected, found) in enumerate(zip(whole, split, strict=True)):
            np.testing.assert_array_equal(found, expected, err_msg=f"cuts {chosen}, step {step}")


def test_the_window_matters(tmp_path: Path) -> None:
    """The models above would not show a wrong pattern if the window changed nothing."""
    without = TinyModel("gemma3", num_layers=4)
    with_window = TinyModel("gemma3", num_layers=4, window=4, pattern=(1, 1, 0, 1))
    other = TinyModel("gemma3", num_layers=4, window=4, pattern=(1, 0, 1, 1))
    found = [
        run([write_tiny(tmp_path / f"{index}.gguf", model)], model.vocab_size)[0]
        for index, model in enumerate((without, with_window, other))
    ]
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[2])


def test_a_vocabulary_file_tokenizes_like_the_model(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tiny.gguf", TinyModel())
    stored = SliceStore(tmp_path / "store").get_vocabulary(opened(path))
    whole, vocab = worker_native.Vocab(str(path)), worker_native.Vocab(str(stored.path))
    assert stored.size_bytes < path.stat().st_size / 100
    assert vocab.num_tokens == whole.num_tokens == TinyModel().vocab_size
    assert vocab.tokenize("w1 w2 ab").tolist() == whole.tokenize("w1 w2 ab").tolist()
