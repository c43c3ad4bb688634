"""LoRA adapters on slices, each with its own part, against llama_cpp with the whole adapter on the whole model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cluster.cutting.architectures import ARCHITECTURES
from cluster.sources.adapter import find_adapter, read_adapter_part
from cluster.store.slices import SliceStore
from tests.fakes.adapters import matrices_of, write_adapter
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.native import arch_models
from tests.native.conftest import prompt, run
from tests.reference import WholeModel
from worker_native import Slice

TINY = {
    "llama": TinyModel("llama"),
    "llama-tied-q8": TinyModel("llama", tied=True, kind="Q8_0"),
    "llama-experts-q8": TinyModel("llama", num_experts=4, kind="Q8_0"),
}
# Some slices of the last ones hold layers that stand in, and those of the very last are in front in the last slice.
NAMES = [*TINY, "qwen3moe-moe", "gemma2-dense", "granitehybrid-dense"]
ALL = [
    *NAMES,
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in arch_models.descriptions()
        if not ARCHITECTURES[arch_models.architecture_of(name)].refusal
        and name not in (*NAMES, "glm4moe-nextn")  # its last layer is in no slice, and not loaded by libllama either
    ),
]
STEPS = [[5, 9, 2, 30, 7, 11, 64, 3, 8], [12], [90]]
SIZES = {"n_ctx": 64, "n_slots": 1, "n_batch": 64, "n_ubatch": 64}


def write_model(folder: Path, name: str) -> Path:
    path = folder / f"{name}.gguf"
    return write_tiny(path, TINY[name]) if name in TINY else arch_models.write_model(path, name)


def computed(model: Path, store: SliceStore, cuts: Sequence[int], adapters: Sequence[str]) -> list[NDArray[np.float32]]:
    """The logits of each step, of the model cut at `cuts`."""
    source, found, start = opened(model), [], 0
    bounds = [0, *cuts, source.model.num_layers]
    with ExitStack() as stack:
        stages = []
        for part in pairwise(bounds):
            told = [find_adapter(text, source.model) for text in adapters]
            parts = [(read_adapter_part(one, source.model, *part), one.scale) for one in told]
            path = store.get_slice(source, *part).path
            opened_slice = Slice(str(path), adapters=[one for one in parts if one[0]], **SIZES)
            stages.append(stack.enter_context(closing(opened_slice)))
        for tokens in STEPS:
            found.append(run(stages, prompt(tokens, start=start)))
            start += len(tokens)
    return found


def expected(model: Path, adapters: Sequence[tuple[Path, float]]) -> list[NDArray[np.float32]]:
    whole = WholeModel(model, SIZES["n_ctx"], SIZES["n_batch"], adapters=adapters)
    found = [whole.forward(tokens) for tokens in STEPS]
    whole.close()
    return found


@pytest.mark.parametrize("name", ALL)
def test_slices_with_their_parts_are_the_whole_model_with_the_adapter(name: str, tmp_path: Path) -> None:
    model, store = write_model(tmp_path, name), SliceStore(tmp_path / "store")
    adapter = write_adapter(tmp_path / "adapter.gguf", model)
    logits = expected(model, [(adapter, 0.5)])
    without = computed(model, store, (), ())
    cuts = [place.layer for place in opened(model).model.places if not place.refusal]
    assert cuts or name not in NAMES
    for chosen in {(), tuple(cuts[:1]), tuple(cuts[-1:]), tuple(cuts)}:
        found = computed(model, store, chosen, [f"{adapter}:0.5"])
        for one, other, plain in zip(found, logits, without, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=f"cuts {chosen}")
            assert np.isfinite(one).all()
            assert np.abs(one - plain).max() > 1e-3


def test_two_adapters_are_added_with_their_scales(tmp_path: Path) -> None:
    """libllama adds them in no certain order, so that the last bits differ."""
    model, store = write_model(tmp_path, "llama"), SliceStore(tmp_path / "store")
    one = write_adapter(tmp_path / "one.gguf", model, alpha=None)
    other = write_adapter(tmp_path / "other.gguf", model, matrices_of(model, rank=2, seed=1))
    logits = expected(model, [(one, 1.0), (other, -0.25)])
    found = computed(model, store, (2,), [str(one), f"{other}:-0.25"])
    for step, exact in zip(found, logits, strict=True):
        np.testing.assert_allclose(step, exact, atol=1e-3)


def test_scales_are_those_that_were_set_last(tmp_path: Path) -> None:
    """Also where libllama has a graph of before at hand, and rows of one text have different ones."""
    model, store = write_model(tmp_path, "llama"), SliceStore(tmp_path / "store")
    adapter = write_adapter(tmp_path / "adapter.gguf", model)
    source = opened(model)
    told = find_adapter(str(adapter), source.model)
    alone = {scale: expected(model, [(adapter, scale)] if scale else []) for scale in (0.5, 0.0, -1.0)}
    with ExitStack() as stack:
        stages = []
        for part in ((0, 2), (2, 4)):
            data = read_adapter_part(told, source.model, *part)
            opened_slice = Slice(str(store.get_slice(source, *part).path), adapters=[(data, 0.5)], **SIZES)
            stages.append(stack.enter_context(closing(opened_slice)))
        for scale in (0.5, 0.0, 0.5, -1.0, -1.0, 0.0, -1.0):
            start = 0
            for stage in stages:
                stage.prepare_slot(0, 0, 0)
                stage.set_scales([scale])
            for tokens, exact in zip(STEPS, alone[scale], strict=True):
                np.testing.assert_array_equal(run(stages, prompt(tokens, start=start)), exact)
                start += len(tokens)


@pytest.mark.parametrize(
    ("scales", "why"),
    [([], "0 of them; give one for each of 1"), ([1.0, 1.0], "2 of them"), ([float("nan")], "one is not finite")],
)
def test_scales_that_do_not_fit_change_nothing(tmp_path: Path, scales: list[float], why: str) -> None:
    model = write_model(tmp_path, "llama")
    adapter = write_adapter(tmp_path / "adapter.gguf", model)
    with closing(Slice(str(model), adapters=[(adapter.read_bytes(), 0.5)], **SIZES)) as whole:
        with pytest.raises(ValueError, match=f"scales: {why}"):
            whole.set_scales(scales)
        logits = run([whole], prompt(STEPS[0]))
    np.testing.assert_array_equal(logits, expected(model, [(adapter, 0.5)])[0])
    with closing(Slice(str(model), **SIZES)) as plain:
        plain.set_scales([])
        with pytest.raises(ValueError, match="give one for each of 0"):
            plain.set_scales([1.0])


def test_a_stage_without_a_part_has_no_adapter(tmp_path: Path) -> None:
    model, store = write_model(tmp_path, "llama"), SliceStore(tmp_path / "store")
    of_last = {name: values for name, values in matrices_of(model).items() if name.startswith("blk.3.")}
    adapter = write_adapter(tmp_path / "adapter.gguf", model, of_last)
    source = opened(model).model
    told = find_adapter(str(adapter), source)
    assert read_adapter_part(told, source, 0, 2) == b""
    assert read_adapter_part(told, source, 2, 4) != b""
    for step, exact in zip(computed(model, store, (2,), [str(adapter)]), expected(model, [(adapter, 1)]), strict=True):
        np.testing.assert_array_equal(step, exact)


@pytest.mark.parametrize(
    ("data", "scale", "error", "why"),
    [
        (b"", 1.0, ValueError, "one is empty"),
        (b"no GGUF", 1.0, RuntimeError, "adapters: "),
        (b"GGUF" + bytes(60), 1.0, RuntimeError, "adapters: "),
        (b"GGUF", float("nan"), ValueError, "not finite"),
    ],
)
def test_what_is_no_adapter_is_an_error(
    tmp_path: Path, data: bytes, scale: float, error: type[Exception], why: str
) -> None:
    model = write_model(tmp_path, "llama")
    with pytest.raises(error, match=why):
        Slice(str(model), adapters=[(data, scale)], **SIZES)


def test_an_adapter_for_another_slice_is_an_error(tmp_path: Path) -> None:
    model = write_model(tmp_path, "llama")
    adapter = write_adapter(tmp_path / "adapter.gguf", model)
    path = SliceStore(tmp_path / "store").get_slice(opened(model), 0, 2).path
    with pytest.raises(RuntimeError, match="does not exist in base model"):
        Slice(str(path), adapters=[(adapter.read_bytes(), 1.0)], **SIZES)
