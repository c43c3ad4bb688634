"""Rows behind the last norm: of slices, of the whole, and as libllama pools them itself."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
from numpy.typing import NDArray

from cluster.api.errors import UnsupportedModelError
from cluster.cutting.header import read_header
from cluster.cutting.rules import check
from cluster.cutting.sizes import model_sizes
from ggml.gguf.tensor_types import tensor_type
from tests.native.conftest import ModelFiles, arrays, prompt, run
from tests.native.slice.test_exact import CUTS, open_slice
from tests.native.tiny_embedders import EMBEDDERS, write_embedder
from tests.native.tiny_encoder import write_encoder
from tests.native.tiny_model import TinyModel, write_model
from worker_native import Slice

TOKENS_OF_LETTERS = [5, 8, 31, 40, 9, 17, 57]
TOKENS = [(7 * i) % 250 for i in range(29)]


def embed(slices: list[Slice], tokens: list[int], slot: int = 0, start: int = 0) -> NDArray[np.float32]:
    """All rows of a text, [T, E]."""
    batch = arrays(prompt(tokens, slot, start))
    hidden = None
    for part in slices:
        hidden = part.forward(*batch, hidden, embeds=True)
    assert hidden is None
    return slices[-1].wanted_embeddings()


def llama_embedding(path: Path, pooling: int, tokens: list[int], *, encodes: bool = False) -> NDArray[np.float32]:
    """What libllama makes of a text in one call. `encodes`: the model has no decoder to call."""
    model_params = llama_cpp.llama_model_default_params()
    model_params.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), model_params)
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_threads, params.n_threads_batch = 512, 512, 512, 1, 1
    params.embeddings, params.pooling_type, params.kv_unified = True, pooling, False
    context = llama_cpp.llama_init_from_model(model, params)
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for row, token in enumerate(tokens):
        batch.token[row], batch.pos[row], batch.n_seq_id[row], batch.logits[row] = token, row, 1, 1
        batch.seq_id[row][0] = 0
    assert (llama_cpp.llama_encode if encodes else llama_cpp.llama_decode)(context, batch) == 0
    values = llama_cpp.llama_get_embeddings_seq(context, 0)
    width = llama_cpp.llama_model_n_embd_out(model) if pooling != 4 else 1
    found = np.ctypeslib.as_array(ctypes.cast(values, ctypes.POINTER(ctypes.c_float)), (width,)).copy()
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return found


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("kind", ["f32", "q4_0 tied"])
def test_slices_give_the_rows_of_the_whole_bit_for_bit(model_file: ModelFiles, kind: str, cut: str) -> None:
    whole = open_slice(model_file(kind), embeds=True)
    parts = [open_slice(model_file(kind, layers)) for layers in CUTS[cut]]
    for tokens, start in ((TOKENS[:20], 0), (TOKENS[20:], 20)):
        rows = embed([whole], tokens, start=start)
        assert rows.shape == (len(tokens), whole.embedding_width)
        np.testing.assert_array_equal(embed(parts, tokens, start=start), rows)


def test_logits_beside_are_what_they_are_alone(model_file: ModelFiles) -> None:
    """Microbatches take turns: none of them leaves anything to the other."""
    other, alone = (open_slice(model_file("q8_0"), embeds=True) for _ in range(2))
    first = run([alone], prompt(TOKENS[:9]))
    np.testing.assert_array_equal(run([other], prompt(TOKENS[:9])), first)
    rows = embed([other], TOKENS, slot=1)
    np.testing.assert_array_equal(run([other], [(5, 9, 0, True)]), run([alone], [(5, 9, 0, True)]))
    other.prepare_slot(1, 1, 0)
    np.testing.assert_array_equal(embed([other], TOKENS, slot=1), rows)


def test_some_rows_are_those_of_all(model_file: ModelFiles) -> None:
    whole = open_slice(model_file("f32"), embeds=True)
    rows = np.array(embed([whole], TOKENS))
    tokens, positions, slots, wants = arrays(prompt(TOKENS, slot=1))
    wants[:] = False
    wants[-1] = True
    whole.forward(tokens, positions, slots, wants, embeds=True)
    np.testing.assert_allclose(whole.wanted_embeddings(), rows[-1:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("pooling", "rows"), [(1, slice(None)), (2, slice(1)), (3, slice(-1, None))])
def test_pooled_rows_are_what_libllama_pools(tmp_path: Path, pooling: int, rows: slice) -> None:
    path = write_model(tmp_path / "model.gguf", TinyModel(), pooling=pooling)
    opened = open_slice(path)  # the file says that it may embed
    found = embed([opened], TOKENS)[rows].mean(axis=0, dtype=np.float64)
    expected = llama_embedding(path, pooling, TOKENS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if pooling != 1:  # one row, which nothing was added to
        np.testing.assert_array_equal(found.astype(np.float32), expected)


def test_what_cannot_be_is_refused(model_file: ModelFiles) -> None:
    for_text = open_slice(model_file("f32"))
    batch: Any = arrays(prompt([1, 2]))
    with pytest.raises(ValueError, match="embeds: the slice was loaded without"):
        for_text.check_microbatch(*batch, embeds=True)
    with pytest.raises(ValueError, match="embeds: the slice was loaded without"):
        for_text.forward(*batch, embeds=True)
    for_text.forward(*batch)
    with pytest.raises(ValueError, match="no forward whose embeddings"):
        for_text.wanted_embeddings()
    both = open_slice(model_file("f32"), embeds=True)
    both.forward(*batch, embeds=True)
    with pytest.raises(ValueError, match="no forward whose logits"):
        both.logits([0])
    with pytest.raises(ValueError, match="no forward whose logits"):
        both.wanted_logits()


@pytest.mark.parametrize("architecture", ["bert", "nomic-bert"])
@pytest.mark.parametrize(("pooling", "rows"), [(1, slice(None)), (2, slice(1))])
def test_an_encoder_gives_what_libllama_pools(tmp_path: Path, architecture: str, pooling: int, rows: slice) -> None:
    path = write_encoder(tmp_path / "encoder.gguf", pooling=pooling, architecture=architecture)
    opened = open_slice(path, n_slots=3)
    assert (opened.is_encoder, opened.can_truncate) == (True, False)
    tokens = [2, *TOKENS_OF_LETTERS, 3]
    expected = llama_embedding(path, pooling, tokens)
    found = embed([opened], tokens, slot=1)[rows].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    # Other texts beside it, and texts before it in its slot, change nothing.
    opened.prepare_slot(1, 1, 0)
    opened.forward(*arrays([*prompt([2, 9, 3]), *prompt(tokens, slot=1), *prompt([2, 11, 3], slot=2)]), embeds=True)
    found = opened.wanted_embeddings()[3 : 3 + len(tokens)][rows].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", [1, 2, 3])
@pytest.mark.parametrize("architecture", EMBEDDERS)
def test_every_embedder_gives_what_libllama_pools(tmp_path: Path, architecture: str, pooling: int) -> None:
    path = write_embedder(tmp_path / "model.gguf", architecture, pooling=pooling)
    opened = open_slice(path, n_slots=3)
    assert (opened.is_encoder, opened.can_truncate) == (True, False)
    rows = {1: slice(None), 2: slice(1), 3: slice(-1, None)}[pooling]
    tokens = [2, *TOKENS_OF_LETTERS, 3]
    expected = llama_embedding(path, pooling, tokens, encodes=architecture == "t5encoder")
    assert np.isfinite(expected).all()
    assert np.std(expected) > 0.1
    for others in ([], prompt([2, 9, 3])):  # others beside it change nothing, nor texts before it in its slot
        batch = arrays([*others, *prompt(tokens, slot=1)])
        opened.forward(*batch, embeds=True)
        found = opened.wanted_embeddings()[len(others) :][rows].mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
        opened.prepare_slot(1, 1, 0)
    # Each token sees all of the text.
    changed = llama_embedding(path, pooling, [*tokens[:-2], 30, 3], encodes=architecture == "t5encoder")
    assert np.abs(changed - expected).max() > 1e-3
    opened.prepare_slot(0, 0, 0)
    assert opened.measure_rows(2) > 0
    model = check(read_header(path))
    sizes = model_sizes(model, 3 * opened.n_ctx, tensor_type("f16"), tensor_type("f16"), num_slots=3)
    assert sum(sizes.kv_bytes) == opened.kv_bytes


def test_an_encoder_that_does_not_say_how_it_pools_has_to_be_asked_for(tmp_path: Path) -> None:
    """As files of T5's encoder are."""
    path = write_embedder(tmp_path / "t5.gguf", "t5encoder", pooling=None)
    with pytest.raises(ValueError, match="no embedding model in one piece"):
        open_slice(path)
    tokens = [2, *TOKENS_OF_LETTERS, 3]
    rows = embed([open_slice(path, embeds=True)], tokens)
    expected = llama_embedding(path, 2, tokens, encodes=True)
    np.testing.assert_allclose(rows[0], expected, rtol=1e-5, atol=1e-5)


def test_matrices_behind_the_pooling_are_refused(tmp_path: Path) -> None:
    path = write_embedder(tmp_path / "gemma.gguf", "gemma-embedding", pooling=1, keys={"dense_2_feat_out": 8})
    with pytest.raises(UnsupportedModelError, match=r"matrices behind its pooling .*dense_2_feat_out is 8"):
        check(read_header(path))


def test_an_encoder_reads_a_text_at_once_and_makes_none(tmp_path: Path) -> None:
    opened = open_slice(write_encoder(tmp_path / "bert.gguf", pooling=1))
    embed([opened], [2, 5, 3])
    with pytest.raises(ValueError, match="an encoder reads a whole text at once; free slot 0 first"):
        embed([opened], [6, 3], start=3)
    with pytest.raises(ValueError, match="the model has no logits, only embeddings or scores"):
        opened.forward(*arrays(prompt([2, 5], slot=1)))
    opened.prepare_slot(0, 0, 0)
    assert opened.measure_rows(2) > 0


def test_an_encoder_that_ranks_gives_its_score(tmp_path: Path) -> None:
    path = write_encoder(tmp_path / "bert.gguf", pooling=4, ranks=True)
    opened = open_slice(path)
    assert opened.embedding_width == 1
    tokens = [2, *TOKENS_OF_LETTERS, 3, 3, 12, 13, 3]
    tokens_, positions, slots, wants = arrays([*prompt([2, 7, 3]), *prompt(tokens, slot=1)])
    wants[:] = False
    wants[[2, -1]] = True
    opened.forward(tokens_, positions, slots, wants, embeds=True)
    scores = opened.wanted_embeddings()
    assert scores.shape == (2, 1)
    np.testing.assert_allclose(scores[0], llama_embedding(path, 4, [2, 7, 3]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores[1], llama_embedding(path, 4, tokens), rtol=1e-5, atol=1e-6)
    assert scores[0] != scores[1]


def test_an_encoder_computes_rows_that_nobody_wants(tmp_path: Path) -> None:
    """Padding, rows between two slots, all but the first of a text: libllama gives all of them, by other kernels."""
    opened = open_slice(write_encoder(tmp_path / "bert.gguf", pooling=2), n_slots=4)
    alone = np.array([embed([opened], [token], slot=1)[0] for token in free_slots(opened, [7, 9])])
    opened.set_row_sizes([4, 4, 4, 4])
    opened.forward(*arrays([(7, 0, 0, True), (9, 0, 2, True)]), embeds=True)
    np.testing.assert_allclose(opened.wanted_embeddings(), alone, rtol=0, atol=2e-3)
    for slot in range(4):
        opened.prepare_slot(slot, slot, 0)
    tokens = [2, *TOKENS_OF_LETTERS, 3]
    rows = np.array(embed([opened], tokens))
    opened.prepare_slot(0, 0, 0)
    tokens_, positions, slots, wants = arrays(prompt(tokens))
    wants[:] = [position in (0, 4) for position in positions]
    opened.forward(tokens_, positions, slots, wants, embeds=True)
    np.testing.assert_allclose(opened.wanted_embeddings(), rows[[0, 4]], rtol=0, atol=2e-3)


def free_slots(opened: Slice, tokens: list[int]) -> Iterator[int]:
    """The tokens, with slot 1 free before each of them, and behind the last one."""
    for token in tokens:
        opened.prepare_slot(1, 1, 0)
        yield token
    opened.prepare_slot(1, 1, 0)
