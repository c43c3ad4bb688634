"""A model whose encoder reads the prompt, and whose decoder says what follows, against llama_cpp's own calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
from numpy.typing import NDArray

from cluster.api.errors import ModelFileError
from cluster.cutting.cut import cut
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.header import read_header
from cluster.cutting.rules import check
from cluster.cutting.sizes import model_sizes
from ggml.gguf.tensor_types import tensor_type
from ggml.gguf.value import uint32
from tests.fakes.opened import opened
from tests.native.arch_matrix import Slices, chains
from tests.native.conftest import Row, arrays, prompt
from tests.native.slice.test_exact import open_slice
from tests.native.tiny_t5 import NUM_DECODER_LAYERS, PIECES, START, write_t5
from worker_native import Slice

TEXT = [5, 9, 30, 41, 7, 1]
SAID = [12, 33, START, 8]  # what follows; the start token means nothing there


class Reference:
    """libllama's encoder and decoder, one text at a time."""

    def __init__(self, path: Path, *, rows: int = 32) -> None:
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        context = llama_cpp.llama_context_default_params()
        context.n_ctx, context.n_batch, context.n_ubatch, context.n_seq_max = 64, rows, rows, 1
        context.n_threads = context.n_threads_batch = 1
        self._context = llama_cpp.llama_init_from_model(self._model, context)
        self._batch = llama_cpp.llama_batch_init(rows, 0, 1)

    def encode(self, tokens: Sequence[int]) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        self._length = 0
        self._fill(tokens)
        assert llama_cpp.llama_encode(self._context, self._batch) == 0

    def decode(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """The logits of the last of them."""
        self._fill(tokens)
        assert llama_cpp.llama_decode(self._context, self._batch) == 0
        self._length += len(tokens)
        values = llama_cpp.llama_get_logits_ith(self._context, len(tokens) - 1)
        return np.ctypeslib.as_array(values, (len(PIECES),)).copy()

    def close(self) -> None:
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def _fill(self, tokens: Sequence[int]) -> None:
        self._batch.n_tokens = len(tokens)
        for row, token in enumerate(tokens):
            self._batch.token[row], self._batch.pos[row] = token, self._length + row
            self._batch.n_seq_id[row], self._batch.seq_id[row][0] = 1, 0
            self._batch.logits[row] = row == len(tokens) - 1


def expected(path: Path, text: Sequence[int], said: Sequence[int]) -> list[NDArray[np.float32]]:
    """The logits behind the start token, and behind each token that was said."""
    reference = Reference(path)
    reference.encode(text)
    found = [reference.decode([token]) for token in (START, *said)]
    reference.close()
    return found


def logits(opened_slice: Slice, tokens: Sequence[int], start: int = 0) -> NDArray[np.float32]:
    """Those of the last row."""
    return logits_of([opened_slice], tokens, 0, start)


def logits_of(stages: Sequence[Slice], tokens: Sequence[int], slot: int, start: int = 0) -> NDArray[np.float32]:
    """The same of several slices in a row."""
    batch: Any = arrays(prompt(list(tokens), slot, start))
    batch[3][:] = False
    batch[3][-1] = True
    hidden = None
    for stage in stages:
        hidden = stage.forward(*batch, hidden)
    return np.array(stages[-1].wanted_logits())[0]


def last_logits(opened_slice: Slice, rows: list[Row]) -> NDArray[np.float32]:
    """Those of the last row of each slot."""
    batch: Any = arrays(rows)
    batch[3][:] = [place + 1 == len(rows) or rows[place + 1][2] != row[2] for place, row in enumerate(rows)]
    opened_slice.forward(*batch)
    return np.array(opened_slice.wanted_logits())


@pytest.mark.parametrize("gated", [True, False])
def test_the_decoder_says_what_libllamas_says(tmp_path: Path, gated: bool) -> None:
    path = write_t5(tmp_path / "t5.gguf", gated=gated)
    whole = open_slice(path, n_slots=1)
    assert (whole.is_encoder, whole.can_truncate, whole.is_last) == (False, False, True)
    for text in (TEXT, [40, 1], TEXT[:4]):  # the encoder's rows of the text before are gone
        wanted = expected(path, text, SAID)
        found = [logits(whole, [*text, START])]
        found += [logits(whole, [token], len(text) + 1 + place) for place, token in enumerate(SAID)]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
        whole.prepare_slot(0, 0, 0)
    assert np.abs(expected(path, TEXT, [])[0] - expected(path, TEXT[:4], [])[0]).max() > 1e-2


def test_what_was_said_goes_in_again_with_its_prompt(tmp_path: Path) -> None:
    """As it is done for a request whose stage died."""
    path = write_t5(tmp_path / "t5.gguf")
    whole = open_slice(path, n_slots=1)
    reference = Reference(path)
    reference.encode(TEXT)
    wanted = reference.decode([START, *SAID])
    found = logits(whole, [*TEXT, START, *SAID])
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(logits(whole, [20], len(TEXT) + 5), reference.decode([20]))
    reference.close()


def test_prompts_that_cannot_be_are_refused_and_change_nothing(tmp_path: Path) -> None:
    path = write_t5(tmp_path / "t5.gguf")
    whole = open_slice(path, n_slots=1)
    for tokens in ([START], [5, 6], [START, 5]):
        with pytest.raises(ValueError, match="a text for the encoder, then the decoder's start token 0"):
            logits(whole, tokens)
    with pytest.raises(ValueError, match="wants_logits: row 1 is the encoder's"):
        batch: Any = arrays(prompt([5, 6, START]))
        batch[3][:] = [False, True, True]
        whole.forward(*batch)
    with pytest.raises(ValueError, match=r"1\.\.32"):
        logits(whole, [5] * 32 + [START])
    assert whole.slot_length(0) == 0
    assert whole.measure_rows(1) > 0
    np.testing.assert_array_equal(logits(whole, [*TEXT, START]), expected(path, TEXT, [])[0])


def test_each_slot_has_a_text_of_its_own(tmp_path: Path) -> None:
    path = write_t5(tmp_path / "t5.gguf")
    whole = open_slice(path, n_slots=2)
    texts = (TEXT, [40, 22, 1])
    both = [prompt([*text, START], slot) for slot, text in enumerate(texts)]
    wanted = [expected(path, text, SAID) for text in texts]
    found = [last_logits(whole, both[0] + both[1])]
    for place, token in enumerate(SAID):
        rows = [prompt([token], slot, len(text) + 1 + place) for slot, text in enumerate(texts)]
        found.append(last_logits(whole, rows[0] + rows[1]))
    for one, *others in zip(found, *wanted, strict=True):
        np.testing.assert_array_equal(one, np.stack(others))
    with pytest.raises(ValueError, match="source: what an encoder made of the text in slot 0 stays there"):
        whole.prepare_slot(1, 0, whole.slot_length(0))
    whole.prepare_slot(1, 0, 0)
    np.testing.assert_array_equal(last_logits(whole, prompt([*TEXT, START], 1))[0], wanted[0][0])


@pytest.mark.parametrize("gated", [True, False])
def test_cut_in_its_decoder_it_says_the_same(tmp_path: Path, gated: bool) -> None:
    path = write_t5(tmp_path / "t5.gguf", gated=gated, num_decoder_layers=3)
    slices = Slices(tmp_path / "slices", opened(path))
    model = slices.model
    assert (model.num_layers, legal_cuts(model)) == (3, (1, 2))
    wanted = expected(path, TEXT, SAID)
    for cuts in chains(legal_cuts(model)):
        stages = [open_slice(found, n_slots=2) for found in slices.chain(cuts)]
        assert [stage.measure_rows(2) > 0 for stage in stages] == [True] * len(stages)
        for slot in (1, 0, 1):
            found = [logits_of(stages, [*TEXT, START], slot)]
            found += [logits_of(stages, [token], slot, len(TEXT) + 1 + place) for place, token in enumerate(SAID)]
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(one, other)
            for stage in stages:
                stage.prepare_slot(slot, slot, 0)
        # What was said goes in again with its prompt.
        reference = Reference(path)
        reference.encode(TEXT)
        np.testing.assert_array_equal(logits_of(stages, [*TEXT, START, *SAID], 0), reference.decode([START, *SAID]))
        reference.close()


def test_a_later_slice_takes_what_the_encoder_made_as_it_is(tmp_path: Path) -> None:
    path = write_t5(tmp_path / "t5.gguf", num_decoder_layers=3)
    paths = Slices(tmp_path / "slices", opened(path)).chain((1, 2))
    first, inner, last = (open_slice(found, n_slots=1) for found in paths)
    batch: Any = arrays(prompt([*TEXT, START]))
    batch[3][:-1] = False
    made = first.forward(*batch)
    handed_on = inner.forward(*batch, made)
    np.testing.assert_array_equal(handed_on[: len(TEXT)], made[: len(TEXT)])
    assert np.abs(made[: len(TEXT)]).min(axis=1).max() > 0
    last.forward(*batch, handed_on)
    original = np.array(last.wanted_logits())[0]
    handed_on[0] += 1.0
    last.prepare_slot(0, 0, 0)
    last.forward(*batch, handed_on)
    assert np.abs(np.array(last.wanted_logits())[0] - original).max() > 1e-3
    # Its own encoder has zeros for weights, in as many layers as it has of the decoder.
    plan = cut(opened(path).gguf, 1, 2)
    encoder = [info for info in plan.tensors if info.name.startswith("enc.")]
    assert {info.source_offset for info in encoder} == {None}
    assert {info.name.split(".")[2] for info in encoder if ".blk." in info.name} == {"0"}
    assert (plan.metadata["t5.block_count"].value, plan.metadata["t5.decoder_block_count"].value) == (1, 1)


def test_whole_it_has_all_of_the_file(tmp_path: Path) -> None:
    path = write_t5(tmp_path / "t5.gguf")
    model = check(read_header(path))
    assert (model.decoder_start, model.can_truncate, model.num_layers) == (START, False, NUM_DECODER_LAYERS)
    plan = cut(model, 0, model.num_layers)
    assert {info.name for info in plan.tensors} == {info.name for info in model.header.tensors}
    whole = open_slice(path, n_slots=1)
    sizes = model_sizes(model, whole.n_ctx, tensor_type("f16"), tensor_type("f16"), num_slots=1)
    assert sum(sizes.kv_bytes) == whole.kv_bytes
    assert opened(path).model.hidden_width == whole.hidden_width


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("attention.relative_buckets_count", 3, "is 3, must be 4 or more"),
        ("decoder_block_count", 4, r"is 4, must be 1..3"),
        ("decoder_start_token_id", 1 << 20, r"the vocabulary has 0..\d+"),
    ],
)
def test_numbers_that_would_stop_libllama_are_refused(tmp_path: Path, name: str, value: int, why: str) -> None:
    header = read_header(write_t5(tmp_path / "t5.gguf"))
    with pytest.raises(ModelFileError, match=why):
        check(replace(header, metadata={**header.metadata, f"t5.{name}": uint32(value)}))
