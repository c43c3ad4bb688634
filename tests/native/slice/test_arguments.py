"""Every argument of every function: a bad value raises, the process lives on, the slice still computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

import worker_native
from tests.native.conftest import MODELS, ModelFiles, SamplingSlice, arrays, prompt, run, sampler
from tests.native.tiny_model import write_model
from worker_native import Slice, Vocab

GOOD = prompt([5, 6, 7], slot=1)
SIZES: dict[str, Any] = {"n_ctx": 64, "n_slots": 3, "n_batch": 32, "n_ubatch": 32}
RANGES = {
    "n_ctx": [0, -1, 2**31, 2**40],
    "n_slots": [0, -1, 257, 2**33],
    "n_batch": [0, -1, 2**20],
    "n_ubatch": [0, -1, 2**20],
    "n_threads": [0, -1, 513, 2**40],
    "type_k": ["", "f64", "q4_k", "F16"],
    "type_v": ["", "f64", "q6_k"],
    "flash_attn": ["", "yes", "On"],
    "device": ["", "CUDA99", "cpu", "RPC"],
}
TYPES = {
    "n_ctx": [None, "64", 6.5],
    "n_slots": [None, "1"],
    "n_batch": [None, []],
    "n_ubatch": [None],
    "n_threads": [None],
    "device": [None, 0],
    "type_k": [None, 1],
    "type_v": [None],
    "flash_attn": [None, True],
    "use_extra_bufts": [None, "yes"],
    "progress": [3, "print"],
}


@pytest.fixture(scope="module")
def shared(model_file: ModelFiles) -> Slice:
    return Slice(str(model_file()), **SIZES)


@pytest.fixture(scope="module")
def expected(shared: Slice) -> np.ndarray[Any, Any]:
    logits = run([shared], GOOD)
    shared.prepare_slot(1, 1, 0)
    return logits


@pytest.fixture
def slice_under_test(shared: Slice, expected: np.ndarray[Any, Any]) -> Iterator[Slice]:
    """Slot 1 holds GOOD, whose logits were just computed; checks afterwards that nothing was disturbed."""
    run([shared], GOOD)
    yield shared
    for slot in range(3):
        shared.prepare_slot(slot, slot, 0)
    np.testing.assert_array_equal(run([shared], GOOD), expected)
    shared.prepare_slot(1, 1, 0)


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in RANGES.items() for v in values])
def test_an_option_out_of_range_is_a_value_error(model_file: ModelFiles, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        Slice(str(model_file()), **(SIZES | {name: value}))


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in TYPES.items() for v in values])
def test_an_option_of_another_type_is_a_type_error(model_file: ModelFiles, name: str, value: object) -> None:
    with pytest.raises(TypeError):
        Slice(str(model_file()), **(SIZES | {name: value}))


def test_a_bad_device_is_answered_with_the_names_there_are(model_file: ModelFiles) -> None:
    with pytest.raises(ValueError, match=r"no 'TPU'.*CPU"):
        Slice(str(model_file()), **SIZES, device="TPU")


def test_quantised_values_need_flash_attention(model_file: ModelFiles) -> None:
    with pytest.raises(ValueError, match=r"type_v.*flash"):
        Slice(str(model_file()), **SIZES, type_v="q8_0", flash_attn="off")


def test_a_cache_that_can_never_fit_is_a_memory_error(model_file: ModelFiles) -> None:
    with pytest.raises(MemoryError, match="n_ctx"):
        Slice(str(model_file()), **(SIZES | {"n_ctx": 2**28, "n_slots": 4}))


def bad_file(kind: str, folder: Path, good: Path) -> Path:
    path = folder / "bad.gguf"
    data = good.read_bytes()
    match kind:
        case "missing":
            return folder / "none.gguf"
        case "folder":
            return folder
        case "empty":
            path.write_bytes(b"")
        case "magic":
            path.write_bytes(b"GGML" + data[4:])
        case "version":
            path.write_bytes(data[:4] + b"\xff\xff\xff\x7f" + data[8:])
        case "half header":
            path.write_bytes(data[:500])
        case "half data":
            path.write_bytes(data[: len(data) // 2])
        case "huge count":
            path.write_bytes(data[:8] + b"\xff" * 16 + data[24:])
    return path


@pytest.mark.parametrize(
    "kind", ["missing", "folder", "empty", "magic", "version", "half header", "half data", "huge count"]
)
def test_a_bad_file_is_refused(model_file: ModelFiles, tmp_path: Path, kind: str) -> None:
    path = bad_file(kind, tmp_path, model_file())
    with pytest.raises((ValueError, RuntimeError), match=r"path|load: .*bad\.gguf|load: "):
        Slice(str(path), **SIZES)
    if kind != "half data":  # a vocabulary needs no tensor data
        with pytest.raises(ValueError, match="path"):
            Vocab(str(path))


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "", "/dev/null", "/proc/self/mem"])
def test_a_strange_path_is_a_value_error(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        Slice(path, **SIZES)
    with pytest.raises(ValueError, match="path"):
        Vocab(path)


@pytest.mark.parametrize("path", [None, 3, b"model.gguf", "\ud800"])
def test_a_path_that_is_no_text_is_refused(path: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Slice(path, **SIZES)
    with pytest.raises((TypeError, ValueError)):
        Vocab(path)


@pytest.mark.parametrize(
    "role",
    [
        {"first": 0},
        {"first": 2, "end": 2, "num_layers": 4, "vocab_size": 272},
        {"first": 0, "end": 3, "num_layers": 4, "vocab_size": 272},
        {"first": 3, "end": 5, "num_layers": 4, "vocab_size": 272},
        {"first": 0, "end": 2, "num_layers": 4, "vocab_size": 271},
        {"first": 0, "end": 2, "num_layers": 4, "vocab_size": 0},
        {"first": 0, "end": 2, "num_layers": 2**32 - 1, "vocab_size": 272},
        {"first": 2**32 - 2, "end": 0, "num_layers": 4, "vocab_size": 272},
    ],
    ids=str,
)
def test_inconsistent_slice_keys_are_a_value_error(tmp_path: Path, role: dict[str, int]) -> None:
    path = write_model(tmp_path / "role.gguf", MODELS["f32"], (0, 2), role=role)
    with pytest.raises(ValueError, match=r"ggml_cluster\.slice"):
        Slice(str(path), **SIZES)


def header_only(path: Path, add: Callable[[gguf.GGUFWriter], None]) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    add(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("add", "field"),
    [
        (lambda w: None, "block_count"),
        (lambda w: w.add_block_count(0), "block_count"),
        (lambda w: w.add_block_count(100000), "block_count"),
        (lambda w: w.add_string("llama.block_count", "4"), "block_count"),
        (lambda w: (w.add_block_count(1), w.add_string("ggml_cluster.slice.first", "0")), "slice.first"),
        (lambda w: (w.add_block_count(1), w.add_token_list(["a", "a"])), "tokens"),
        (lambda w: (w.add_block_count(1), w.add_array("tokenizer.ggml.tokens", [1, 2])), "tokens"),
        (lambda w: (w.add_block_count(1), w.add_array("tokenizer.ggml.merges", [1])), "merges"),
        (lambda w: (w.add_block_count(1), w.add_token_list(["a"]), w.add_token_types([1, 1])), "token_type"),
    ],
    ids=range(9),
)
def test_a_header_on_which_libllama_would_abort_is_refused(
    tmp_path: Path, add: Callable[[gguf.GGUFWriter], None], field: str
) -> None:
    path = header_only(tmp_path / "header.gguf", add)
    with pytest.raises(ValueError, match=field):
        Slice(str(path), **SIZES)


def with_change(name: str, value: object) -> dict[str, Any]:
    """Arguments of a good forward that continues slot 1, one of them changed."""
    names = ("tokens", "positions", "slots", "wants_logits")
    good = dict(zip(names, arrays(prompt([8, 9], slot=1, start=3)), strict=True))
    return good | {name: value}


def ints(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokens", ints(8, -1)),
        ("tokens", ints(8, 272)),
        ("tokens", ints(2**31 - 1, 8)),
        ("tokens", ints(8)),
        ("tokens", ints()),
        ("tokens", ints(8, 9, 10)),
        ("positions", ints(3, 3)),
        ("positions", ints(2, 3)),
        ("positions", ints(4, 5)),
        ("positions", ints(-1, 0)),
        ("positions", ints(3, 5)),
        ("positions", ints(2**31 - 1, -(2**31))),
        ("positions", ints(3)),
        ("slots", ints(3, 3)),
        ("slots", ints(-1, -1)),
        ("slots", ints(1, 2**31 - 1)),
        ("slots", ints(0, 0)),
        ("slots", ints(1)),
        ("wants_logits", np.array([True])),
        ("wants_logits", np.array([], np.bool_)),
        ("hidden", np.zeros((2, 65), np.float32)),  # those of another model's pictures
    ],
)
def test_forward_refuses_bad_values(slice_under_test: Slice, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r": "):
        slice_under_test.forward(**with_change(name, value))
    assert [slice_under_test.slot_length(slot) for slot in range(3)] == [0, 3, 0]


@pytest.mark.parametrize("name", ["tokens", "positions", "slots", "wants_logits"])
@pytest.mark.parametrize(
    "value",
    [
        None,
        [8, 9],
        np.array([8, 9], np.int64),
        np.array([8, 9], np.uint32),
        np.array([8.0, 9.0], np.float32),
        np.array([[8, 9]], np.int32),
        np.array([8, 0, 9, 0], np.int32)[::2],
        np.array([True, False, True, False])[::2],
        np.array([1, 1], np.int8),
        "89",
    ],
    ids=str,
)
def test_forward_refuses_other_types(slice_under_test: Slice, name: str, value: object) -> None:
    with pytest.raises(TypeError):
        slice_under_test.forward(**with_change(name, value))


def test_forward_refuses_rows_of_a_slot_that_are_apart(slice_under_test: Slice) -> None:
    with pytest.raises(ValueError, match="consecutive"):
        slice_under_test.forward(*arrays([(1, 3, 1, True), (1, 0, 0, True), (1, 4, 1, True)]))


def test_forward_refuses_more_rows_than_a_batch_holds(slice_under_test: Slice) -> None:
    with pytest.raises(ValueError, match="33 rows"):
        slice_under_test.forward(*arrays(prompt([1] * 33)))
    slice_under_test.forward(*arrays(prompt([1] * 32)))


def test_forward_refuses_more_tokens_than_a_slot_holds(slice_under_test: Slice) -> None:
    for start in (0, 32):
        slice_under_test.forward(*arrays(prompt([1] * 32, start=start)))
    with pytest.raises(ValueError, match="64 tokens"):
        slice_under_test.forward(*arrays(prompt([1], start=64)))


@pytest.mark.parametrize(
    "hidden",
    [
        None,
        np.zeros((1, 64), np.float32),
        np.zeros((2, 63), np.float32),
        np.zeros((0, 64), np.float32),
        np.zeros((128,), np.float32),
        np.zeros((2, 64), np.float64),
        np.zeros((2, 64), np.float16),
        np.zeros((64, 2), np.float32).T,
        "hidden",
    ],
    ids=lambda h: str(getattr(h, "shape", h)),
)
def test_a_later_slice_refuses_bad_hidden_rows(model_file: ModelFiles, hidden: Any) -> None:
    last = Slice(str(model_file("q4_0", (2, 4))), **SIZES)
    with pytest.raises((ValueError, TypeError)):
        last.forward(*arrays(prompt([1, 2])), hidden)
    assert last.slot_length(0) == 0
    last.forward(*arrays(prompt([1, 2])), np.zeros((2, 64), np.float32))


def test_hidden_rows_that_are_not_finite_do_not_kill(model_file: ModelFiles) -> None:
    last = SamplingSlice(str(model_file("q4_0", (2, 4))), **SIZES)
    last.sampler.set(0, sampler())
    last.forward(*arrays(prompt([1, 2])), np.full((2, 64), np.nan, np.float32))
    (drawn,) = last.sample([1])
    assert "not finite" in drawn.error


@pytest.mark.parametrize("rows", [[3], [-1], [2**40], [0, 99]])
def test_rows_out_of_range_are_a_value_error(slice_under_test: Slice, rows: list[int]) -> None:
    with pytest.raises(ValueError, match="rows"):
        slice_under_test.logits(rows)


@pytest.mark.parametrize("rows", [None, 1, ["a"], [None], [1.5], [2**70]])
def test_rows_of_another_type_are_a_type_error(slice_under_test: Slice, rows: Any) -> None:
    with pytest.raises(TypeError):
        slice_under_test.logits(rows)


def test_only_flagged_rows_of_the_last_forward_have_logits(slice_under_test: Slice) -> None:
    slice_under_test.forward(*arrays([(1, 3, 1, False), (2, 4, 1, True)]))
    with pytest.raises(ValueError, match="not flagged"):
        slice_under_test.logits([0])
    slice_under_test.logits([1])
    with pytest.raises(ValueError, match="rows"):
        slice_under_test.logits([2])


def test_only_the_last_slice_has_logits(model_file: ModelFiles) -> None:
    first = Slice(str(model_file("q4_0", (0, 2))), **SIZES)
    first.forward(*arrays(prompt([1, 2])))
    for call in (
        lambda: first.wanted_logits(),
        lambda: first.logits([0]),
    ):
        with pytest.raises(ValueError, match="last slice"):
            call()


@pytest.mark.parametrize("slot", [-1, 3, 2**40])
def test_a_slot_out_of_range_is_a_value_error(slice_under_test: Slice, slot: int) -> None:
    one = slice_under_test
    calls: list[Callable[[], object]] = [
        lambda: one.slot_length(slot),
        lambda: one.prepare_slot(slot, slot, 0),
        lambda: one.prepare_slot(0, slot, 0),
        lambda: one.prepare_slot(slot, 1, 0),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"slot|source"):
            call()


@pytest.mark.parametrize("slot", [None, "0", 0.5, [0]])
def test_a_slot_of_another_type_is_a_type_error(slice_under_test: Slice, slot: Any) -> None:
    one = slice_under_test
    calls: list[Callable[[], object]] = [
        lambda: one.slot_length(slot),
        lambda: one.prepare_slot(1, 1, slot),
        lambda: one.prepare_slot(0, slot, 0),
        lambda: one.prepare_slot(slot, 1, 0),
        lambda: one.prepare_slot(0, 1, slot),
        lambda: one.set_threads(slot),
        lambda: one.measure_rows(slot),
        lambda: one.set_row_sizes([slot]),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("position", [-1, 4, 2**40])
def test_a_position_outside_the_slot_is_a_value_error(slice_under_test: Slice, position: int) -> None:
    with pytest.raises(ValueError, match="length"):
        slice_under_test.prepare_slot(1, 1, position)
    run([slice_under_test], prompt([1, 2, 3, 4], slot=2))
    with pytest.raises(ValueError, match="length"):
        slice_under_test.prepare_slot(2, 1, position)
    assert [slice_under_test.slot_length(slot) for slot in range(3)] == [0, 3, 4]


@pytest.mark.parametrize("sizes", [[0], [-1], [1, 1], [4, 4, 2], [33], [2**40], [1] * 33, list(range(1, 34))], ids=str)
def test_row_sizes_that_cannot_be_computed_are_a_value_error(slice_under_test: Slice, sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="sizes"):
        slice_under_test.set_row_sizes(sizes)


@pytest.mark.parametrize("num_rows", [0, -1, 4, 2**40])
def test_measure_rows_refuses_bad_counts(slice_under_test: Slice, num_rows: int) -> None:
    slice_under_test.prepare_slot(1, 1, 0)
    with pytest.raises(ValueError, match="num_rows"):
        slice_under_test.measure_rows(num_rows)


def test_measure_rows_refuses_slots_in_use(slice_under_test: Slice) -> None:
    with pytest.raises(ValueError, match="slot 1 holds 3 tokens"):
        slice_under_test.measure_rows(2)
    assert slice_under_test.slot_length(1) == 3


@pytest.mark.parametrize("n_threads", [0, -1, 513, 2**40])
def test_set_threads_refuses_bad_counts(slice_under_test: Slice, n_threads: int) -> None:
    with pytest.raises(ValueError, match="n_threads"):
        slice_under_test.set_threads(n_threads)
    slice_under_test.set_threads(1)


@pytest.mark.parametrize("callback", [3, "print", [print]])
def test_set_log_refuses_what_cannot_be_called(callback: Any) -> None:
    with pytest.raises(TypeError):
        worker_native.set_log(callback)


@pytest.mark.parametrize("value", [None, "yes", 2])
def test_self_test_refuses_what_is_no_flag(value: Any) -> None:
    with pytest.raises(TypeError):
        worker_native.self_test(value)


@pytest.mark.parametrize("token", [-1, 272, 2**40])
def test_a_token_out_of_range_is_a_value_error(model_file: ModelFiles, token: int) -> None:
    with pytest.raises(ValueError, match="token"):
        Vocab(str(model_file())).token_bytes(token)


@pytest.mark.parametrize("text", [None, b"text", 3, ["a"]])
def test_a_text_of_another_type_is_a_type_error(model_file: ModelFiles, text: Any) -> None:
    vocab = Vocab(str(model_file()))
    with pytest.raises(TypeError):
        vocab.tokenize(text)
    with pytest.raises(TypeError):
        vocab.tokenize("a", text)
    with pytest.raises(TypeError):
        vocab.tokenize("a", True, text)
    with pytest.raises(TypeError):
        vocab.token_bytes(text if text != 3 else "3")
    with pytest.raises(TypeError):
        vocab.token_bytes(3, text)


def test_a_lone_surrogate_is_a_value_error(model_file: ModelFiles) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        Vocab(str(model_file())).tokenize("a\ud800b")
