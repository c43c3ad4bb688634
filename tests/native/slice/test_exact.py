"""Slices against the whole model, the whole model against llama_cpp, and the KV verbs against recomputing."""

from __future__ import annotations

import ctypes
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.native.conftest import MODELS, ModelFiles, Row, prompt, run
from worker_native import Slice

CUTS = {"2 slices": [(0, 2), (2, 4)], "3 slices": [(0, 1), (1, 3), (3, 4)]}

# a prompt in two chunks, single steps, then two slots in one microbatch, then a chunk beside a step
STEPS: list[list[Row]] = [
    [(5 + i, i, 0, False) for i in range(6)],
    [(40 + i, 6 + i, 0, i == 4) for i in range(5)],
    [(7, 11, 0, True)],
    [(8, 12, 0, True)],
    [(9, 13, 0, True), *prompt([1, 2, 3], slot=2)],
    [(10, 14, 0, True), (11, 3, 2, True)],
    [*prompt(list(range(100, 120)), slot=1), (12, 15, 0, True), (13, 4, 2, False)],
]

# libllama's own ubatches of these have the shapes that a Slice gives them; of other mixtures they have not.
PLAIN_STEPS: list[list[Row]] = [
    *STEPS[:4],
    prompt([1, 2, 3], slot=1),
    [(9, 13, 0, True), (4, 3, 1, True)],
    [*prompt([10, 11, 12], 0, start=14), *prompt([13, 14, 15], 1, start=4)],
]


def open_slice(path: Path, **options: object) -> Slice:
    sizes = {"n_ctx": 64, "n_slots": 3, "n_batch": 32, "n_ubatch": 32}
    return Slice(str(path), **(sizes | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("kind", MODELS)
def test_slices_give_the_logits_of_the_whole_bit_for_bit(model_file: ModelFiles, kind: str, cut: str) -> None:
    whole = open_slice(model_file(kind))
    parts = [open_slice(model_file(kind, layers)) for layers in CUTS[cut]]
    for rows in STEPS:
        np.testing.assert_array_equal(run(parts, rows), run([whole], rows))


@pytest.mark.parametrize(
    "options",
    [
        {"n_ubatch": 4},
        {"n_threads": 2},
        {"flash_attn": "off"},
        {"flash_attn": "on", "type_k": "q8_0", "type_v": "q8_0"},
        {"type_k": "f32", "type_v": "f32"},
        {"type_k": "bf16", "type_v": "bf16"},
        {"type_k": "q4_0", "type_v": "iq4_nl"},
        {"use_extra_bufts": False},
        {"n_batch": 500, "n_ubatch": 500, "n_slots": 5},
    ],
    ids=str,
)
def test_slices_equal_the_whole_under_every_option(model_file: ModelFiles, options: dict[str, object]) -> None:
    whole = open_slice(model_file(), **options)
    parts = [open_slice(model_file("q4_0", layers), **options) for layers in CUTS["2 slices"]]
    for rows in STEPS:
        np.testing.assert_array_equal(run(parts, rows), run([whole], rows))


def test_slices_report_their_role(model_file: ModelFiles) -> None:
    first, middle, last = (open_slice(model_file("q4_0 tied", layers)) for layers in CUTS["3 slices"])
    assert [(s.first, s.end, s.num_layers) for s in (first, middle, last)] == [
        (0, 1, 4),
        (1, 3, 4),
        (3, 4, 4),
    ]
    assert [(s.is_first, s.is_last) for s in (first, middle, last)] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert {s.vocab_size for s in (first, middle, last)} == {272}
    assert {s.hidden_width for s in (first, middle, last)} == {64}
    # K and V of 3 slots of 64 cells padded to 256, 32 values of 2 bytes each, in 2 layers
    assert middle.kv_bytes == 3 * 2 * 2 * 256 * 32 * 2
    assert first.compute_bytes > 0
    assert middle.weight_bytes < open_slice(model_file("q4_0 tied")).weight_bytes


class Reference:
    """The low-level API of llama_cpp over the same file."""

    def __init__(self, path: Path) -> None:
        model_params = llama_cpp.llama_model_default_params()
        model_params.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), model_params)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = 192, 32, 32, 3
        params.n_threads = params.n_threads_batch = 1
        params.swa_full = True
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.width = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def run(self, rows: list[Row]) -> NDArray[np.float32]:
        batch = llama_cpp.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for i, (token, position, slot, wants) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wants
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = slot
        assert llama_cpp.llama_decode(self.context, batch) == 0
        wanted = [i for i, row in enumerate(rows) if row[3]]
        result = np.zeros((len(wanted), self.width), np.float32)
        for out, i in zip(result, wanted, strict=True):
            logits = llama_cpp.llama_get_logits_ith(self.context, i)
            out[:] = np.ctypeslib.as_array(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float)), (self.width,))
        llama_cpp.llama_batch_free(batch)
        return result

    def close(self) -> None:
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)


@pytest.mark.parametrize("kind", MODELS)
def test_the_whole_model_equals_llama_cpp_bit_for_bit(model_file: ModelFiles, kind: str) -> None:
    ours, theirs = open_slice(model_file(kind)), Reference(model_file(kind))
    for rows in PLAIN_STEPS:
        np.testing.assert_array_equal(run([ours], rows), theirs.run(rows))
    theirs.close()


def test_one_copy_of_each_library_is_loaded() -> None:
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line}
    names = sorted(Path(path).name.split(".so")[0] for path in mapped if "/llama_cpp/" in path)
    assert "libllama" in names
    assert len(names) == len(set(names)), names


def test_logits_of_a_later_forward_do_not_depend_on_the_flags_of_an_earlier_one(whole: Slice) -> None:
    quiet = [(token, position, 0, False) for token, position, _, _ in prompt([1, 2, 3, 4])]
    run([whole], quiet)
    first = run([whole], prompt([5], start=4))
    whole.prepare_slot(0, 0, 0)
    run([whole], [*quiet[:-1], (4, 3, 0, True)])
    np.testing.assert_array_equal(run([whole], prompt([5], start=4)), first)


@pytest.mark.parametrize("n", [0, 1, 5, 7])
def test_a_cut_equals_recomputing(whole: Slice, n: int) -> None:
    tokens = [3, 1, 4, 1, 5, 9, 2]
    run([whole], prompt(tokens[:n] + [200 + i for i in range(8)]))
    whole.prepare_slot(0, 0, n)
    assert whole.slot_length(0) == n
    if n < len(tokens):
        after = run([whole], prompt(tokens[n:], start=n))
    step = run([whole], prompt([6], start=7))
    whole.prepare_slot(0, 0, 0)
    if n:
        run([whole], prompt(tokens[:n]))
    if n < len(tokens):
        np.testing.assert_array_equal(run([whole], prompt(tokens[n:], start=n)), after)
    np.testing.assert_array_equal(run([whole], prompt([6], start=7)), step)


def test_a_copy_holds_the_first_tokens(model_file: ModelFiles) -> None:
    # f32 throughout (flash attention rounds to f16): rows in other batch shapes agree to the last bits only
    whole = open_slice(model_file("f32"), type_k="f32", type_v="f32", flash_attn="off")
    run([whole], prompt([3, 1, 4, 1, 5]))
    whole.prepare_slot(1, 0, 3)
    assert (whole.slot_length(0), whole.slot_length(1)) == (5, 3)
    copied = run([whole], prompt([9, 2], slot=1, start=3))
    original = run([whole], prompt([6], start=5))
    whole.prepare_slot(1, 1, 0)  # slot 0 keeps its own
    later = run([whole], prompt([6], start=6))
    np.testing.assert_allclose(copied, fresh(whole, [3, 1, 4, 9, 2], 2), atol=2e-5)
    np.testing.assert_allclose(original, fresh(whole, [3, 1, 4, 1, 5, 6], 1), atol=2e-5)
    np.testing.assert_allclose(later, fresh(whole, [3, 1, 4, 1, 5, 6, 6], 1), atol=2e-5)


def fresh(whole: Slice, tokens: list[int], last: int) -> NDArray[np.float32]:
    """The logits of the last rows, computed in slot 2 with nothing before."""
    logits = run([whole], prompt(tokens, slot=2))
    whole.prepare_slot(2, 2, 0)
    return logits[-last:]


def test_a_freed_slot_starts_anew(whole: Slice) -> None:
    before = run([whole], prompt([1, 2, 3], slot=1))
    whole.prepare_slot(1, 1, 0)
    assert whole.slot_length(1) == 0
    np.testing.assert_array_equal(run([whole], prompt([1, 2, 3], slot=1)), before)


def test_every_slot_can_be_filled_to_the_end(model_file: ModelFiles) -> None:
    full = open_slice(model_file(), n_ctx=33, n_slots=5)
    for start in range(33):
        run([full], [(start, start, slot, True) for slot in range(5)])
    assert [full.slot_length(slot) for slot in range(5)] == [33] * 5
