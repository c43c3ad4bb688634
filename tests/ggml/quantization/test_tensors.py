"""Tensors of quantised types are ggml's own, byte for byte; nothing that is given to them ends the process."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import ggml
import worker_native
from ggml import quantization
from tests.ggml import native_ggml
from tests.quick import some_quick

TYPES = quantization.types()
# ggml makes tables for these, which takes it seconds.
SLOW = ("iq2_xxs", "iq1_s", "iq1_m", "iq2_xs", "iq2_s")
QUICK = [dtype for dtype in TYPES if dtype.name not in SLOW]


def _rows(seed: int, shape: tuple[int, ...], scale: float = 1.0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def _weights(seed: int, count: int) -> NDArray[np.float32]:
    return np.square(_rows(seed, (count,))) + np.float32(0.01)


def test_every_type_of_ggml_is_there() -> None:
    names = {dtype.name for dtype in TYPES}
    assert {"q4_0", "q4_k", "iq1_s", "iq4_xs", "tq1_0", "tq2_0", "mxfp4", "nvfp4", "float16", "bfloat16"} <= names
    storage_only = {"q8_1", "q8_k"}  # ggml's own, for activations on the way
    assert names == {*ggml.core.dtypes.QUANTIZED, "float16", "bfloat16"} - storage_only
    needing = {dtype.name for dtype in TYPES if quantization.needs_imatrix(dtype)}
    assert needing == {"iq2_xxs", "iq2_xs", "iq1_s"}


@pytest.mark.parametrize(
    "dtype", some_quick(TYPES, [dtype for dtype in TYPES if dtype.name not in SLOW[1:]]), ids=lambda dtype: dtype.name
)
@settings(max_examples=6)
@given(
    seed=st.integers(0, 1 << 30),
    rows=st.integers(1, 5),
    blocks=st.integers(1, 3),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 100.0]),
    weighted=st.booleans(),
    threads=st.integers(1, 3),
)
def test_bytes_are_those_of_ggml(
    dtype: ggml.DType, seed: int, rows: int, blocks: int, scale: float, weighted: bool, threads: int
) -> None:
    x = _rows(seed, (rows, blocks * dtype.block), scale)
    imatrix = _weights(seed + 1, x.shape[1]) if weighted or quantization.needs_imatrix(dtype) else None
    made = quantization.quantize(ggml.from_numpy(x), dtype, imatrix, num_threads=threads)
    assert made.dtype is dtype and tuple(made.shape) == x.shape
    assert made.raw_bytes() == native_ggml.quantize(x, dtype, imatrix)
    back = quantization.dequantize(made, num_threads=threads)
    assert back.dtype is ggml.float32 and tuple(back.shape) == x.shape
    wanted = native_ggml.dequantize(made.raw_bytes(), dtype, x.size)
    np.testing.assert_array_equal(back.numpy().reshape(-1), wanted)


@pytest.mark.parametrize("shape", [(256,), (3, 256), (2, 3, 256), (2, 1, 2, 512), (0, 256), (2, 0), (5, 0, 256)])
@pytest.mark.parametrize("dtype", [ggml.q4_k, ggml.q8_0, ggml.bfloat16], ids=str)
def test_any_number_of_axes(shape: tuple[int, ...], dtype: ggml.DType) -> None:
    x = ggml.randn(*shape)
    made = quantization.quantize(x, dtype)
    assert made.raw_bytes() == native_ggml.quantize(x.numpy().reshape(-1, max(shape[-1], 1)), dtype, None)
    assert tuple(quantization.dequantize(made).shape) == shape


def test_many_rows_in_many_threads() -> None:
    x = _rows(0, (700, 512))
    wanted = native_ggml.quantize(x, ggml.q5_k, None)
    for threads in (1, 2, 7):
        assert quantization.quantize(ggml.from_numpy(x), ggml.q5_k, num_threads=threads).raw_bytes() == wanted


@pytest.mark.parametrize("source", [ggml.float16, ggml.bfloat16], ids=str)
def test_halves_are_widened_first(source: ggml.DType) -> None:
    x = ggml.randn(4, 256).to(source)
    made = quantization.quantize(x, ggml.q6_k)
    assert made.raw_bytes() == native_ggml.quantize(x.float().numpy(), ggml.q6_k, None)


def test_views_come_in_their_order() -> None:
    x = ggml.randn(256, 512).T[::2]
    assert quantization.quantize(x, ggml.q4_0).raw_bytes() == native_ggml.quantize(x.numpy(), ggml.q4_0, None)


def test_experts_have_weights_of_their_own() -> None:
    x, imatrix = _rows(1, (3, 70, 256)), _weights(2, 3 * 256).reshape(3, 256)
    made = quantization.quantize(ggml.from_numpy(x), ggml.iq4_xs, imatrix, num_threads=3)
    wanted = [native_ggml.quantize(x[i], ggml.iq4_xs, imatrix[i]) for i in range(3)]
    assert made.raw_bytes() == b"".join(wanted)
    as_tensor = quantization.quantize(ggml.from_numpy(x), ggml.iq4_xs, ggml.from_numpy(imatrix))
    assert as_tensor.raw_bytes() == made.raw_bytes()


def test_weights_of_columns_matter() -> None:
    x = _rows(3, (16, 256))
    imatrix = np.where(np.arange(256) % 8 == 0, 100.0, 0.01).astype(np.float32)

    def error(weights: Any) -> float:
        back = quantization.dequantize(quantization.quantize(ggml.from_numpy(x), ggml.q3_k, weights)).numpy()
        return float((imatrix * np.square(back - x)).sum())

    assert error(imatrix) < 0.8 * error(None)


# What is refused


def _bad(value: float) -> ggml.Tensor:
    x = _rows(0, (40, 512))
    x[37, 300] = value
    return ggml.from_numpy(x)


@pytest.mark.parametrize("dtype", QUICK, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_what_is_not_finite_is_refused(dtype: ggml.DType, value: float) -> None:
    with pytest.raises(ggml.ArgumentError, match="holds NaN or an infinity"):
        quantization.quantize(_bad(value), dtype, num_threads=2)


@pytest.mark.parametrize("dtype", QUICK, ids=lambda dtype: dtype.name)
def test_what_a_type_cannot_hold_is_refused(dtype: ggml.DType) -> None:
    if dtype in (ggml.bfloat16, ggml.mxfp4):
        quantization.quantize(_bad(1e30), dtype)
    else:
        with pytest.raises(ggml.ArgumentError, match="beyond the range"):
            quantization.quantize(_bad(1e30), dtype)


def test_scales_of_nvfp4_are_not_clipped() -> None:
    x = ggml.full((1, 64), 2688.0)
    assert quantization.dequantize(quantization.quantize(x, ggml.nvfp4)).numpy().max() == 2688
    with pytest.raises(ggml.ArgumentError, match="beyond the range"):
        quantization.quantize(x * 1.01, ggml.nvfp4)


def test_the_largest_elements_of_mxfp4() -> None:
    largest = 2.0**127 * 1.5
    x = ggml.full((1, 32), largest)
    assert quantization.dequantize(quantization.quantize(x, ggml.mxfp4)).numpy().max() == largest
    with pytest.raises(ggml.ArgumentError, match="beyond the range"):
        quantization.quantize(x * 1.2, ggml.mxfp4)


@pytest.mark.parametrize("name", ["iq2_xxs", "iq2_xs", "iq1_s"])
def test_an_importance_matrix_is_needed(name: str) -> None:
    with pytest.raises(ggml.ArgumentError, match="imatrix is needed"):
        quantization.quantize(ggml.randn(2, 256), ggml.core.dtypes.ALL[name])


@pytest.mark.parametrize(
    ("imatrix", "kind", "why"),
    [
        (np.ones(255), ggml.ShapeMismatchError, "imatrix of 256 numbers"),
        (np.ones((2, 256)), ggml.ShapeMismatchError, "imatrix of 256 numbers"),
        (np.full(256, -1.0), ggml.ArgumentError, "imatrix holds a negative number"),
        (np.full(256, math.nan), ggml.ArgumentError, "imatrix holds a negative number or NaN"),
        (np.full(256, math.inf), ggml.ArgumentError, "imatrix holds NaN or an infinity"),
        (np.full(256, 1e300), ggml.ArgumentError, "imatrix holds NaN or an infinity"),
        (np.full(256, 1e30), ggml.ArgumentError, "too large for its importance"),
        (["a"], ggml.DTypeError, "numbers as imatrix"),
    ],
)
def test_importance_is_checked(imatrix: Any, kind: type[Exception], why: str) -> None:
    with pytest.raises(kind, match=why):
        quantization.quantize(ggml.randn(2, 256), ggml.q4_k, imatrix)


@pytest.mark.parametrize(
    ("call", "kind", "why"),
    [
        (lambda: quantization.quantize(ggml.ones(2, 100), ggml.q4_k), ggml.ShapeMismatchError, "multiple of 256"),
        (lambda: quantization.quantize(ggml.tensor(1.0), ggml.q4_0), ggml.ShapeMismatchError, "multiple of 32"),
        (lambda: quantization.quantize(ggml.ones(2, 32), ggml.float32), ggml.DTypeError, "one of float16"),
        (lambda: quantization.quantize(ggml.ones(2, 32), ggml.q8_1), ggml.DTypeError, "one of float16"),
        (lambda: quantization.quantize(ggml.ones(2, 32), "q4_0"), ggml.DTypeError, "one of float16"),  # type: ignore[arg-type]
        (lambda: quantization.quantize(ggml.ones(2, 32).int(), ggml.q4_0), ggml.DTypeError, "float32"),
        (lambda: quantization.quantize([1.0], ggml.q4_0), ggml.DTypeError, "a tensor"),  # type: ignore[arg-type]
        (lambda: quantization.dequantize(ggml.ones(2)), ggml.DTypeError, "a quantised tensor"),
        (lambda: quantization.check(ggml.ones(2)), ggml.DTypeError, "a quantised tensor"),
        (
            lambda: quantization.quantize(ggml.ones(2, 32), ggml.q4_0, num_threads=0),
            ggml.ArgumentError,
            "num_threads",
        ),
        (lambda: quantization.quantize(ggml.ones(2, 32), ggml.q4_0, progress=3), ggml.DTypeError, "a function"),  # type: ignore[arg-type]
    ],
)
def test_arguments_are_checked(call: Any, kind: type[Exception], why: str) -> None:
    with pytest.raises(kind, match=why):
        call()


def test_not_while_a_function_is_compiled() -> None:
    with pytest.raises(ggml.TracingError):
        ggml.compile(lambda x: quantization.quantize(x, ggml.q8_0))(ggml.ones(2, 32))


@settings(max_examples=300)
@given(data=st.data())
def test_no_numbers_end_the_process(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(QUICK))
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30)))
    shape = (2, dtype.block * data.draw(st.integers(1, 2)))
    numbers = {
        "far apart": lambda: rng.standard_normal(shape) * 10.0 ** rng.uniform(-45, 38, shape),
        "sparse": lambda: np.where(rng.random(shape) < 0.95, 0, 10.0 ** rng.uniform(-40, 9)),
        "equal": lambda: np.full(shape, 10.0 ** rng.uniform(-45, 9)),
        "edges": lambda: rng.choice([0.0, -0.0, 1, -1, 1e9, -1e9, 1e-45, 65504, 3e-8], shape),
        "zero": lambda: np.zeros(shape),
    }[data.draw(st.sampled_from(["far apart", "sparse", "equal", "edges", "zero"]))]()
    importance = {
        "none": lambda: None,
        "zero": lambda: np.zeros(shape[1]),
        "sparse": lambda: np.where(rng.random(shape[1]) < 0.9, 0, 1),
        "far apart": lambda: 10.0 ** rng.uniform(-45, 20, shape[1]),
    }[data.draw(st.sampled_from(["none", "zero", "sparse", "far apart"]))]()
    x = np.nan_to_num(numbers.astype(np.float32), posinf=1, neginf=-1)
    try:
        made = quantization.quantize(ggml.from_numpy(x), dtype, importance)
    except ggml.ArgumentError:
        return
    assert np.isfinite(quantization.dequantize(made).numpy()).all()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"type": 1000}, "type: 1000 is outside"),
        ({"type": ggml.q8_1.ggml_type}, "rows cannot be written as it"),
        ({"type": ggml.float32.ggml_type}, "rows cannot be written as it"),
        ({"source": np.ones((2, 33), np.float32)}, "has blocks of 32"),
        ({"target": np.zeros(35, np.uint8)}, "35 bytes for 36"),
        ({"importance": np.ones((1, 31), np.float32)}, "rows of 31 for rows of 32"),
        ({"importance": np.ones((3, 32), np.float32)}, "3 rows of it for 2 rows"),
        ({"importance": np.ones((0, 32), np.float32)}, "0 rows of it for 2 rows"),
        ({"num_threads": 0}, "num_threads: 0 is outside"),
    ],
)
def test_the_native_function_checks_again(change: dict[str, Any], why: str) -> None:
    arguments = {
        "type": ggml.q4_0.ggml_type,
        "source": np.ones((2, 32), np.float32),
        "importance": None,
        "target": np.zeros(36, np.uint8),
        "num_threads": 1,
    }
    worker_native.quantize_rows(**arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=why):
        worker_native.quantize_rows(**arguments | change)  # type: ignore[arg-type]


# Bytes from elsewhere


@settings(max_examples=200)
@given(data=st.data())
def test_hostile_bytes_are_numbers_or_refused(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([dtype for dtype in TYPES if dtype.is_quantized]))
    raw = np.random.default_rng(data.draw(st.integers(0, 1 << 30))).bytes(2 * dtype.block_bytes)
    tensor = ggml.from_buffer(raw, dtype=dtype, shape=(2, dtype.block))
    try:
        quantization.check(tensor)
    except ggml.ArgumentError:
        with pytest.raises(ggml.ArgumentError, match="scale is not finite"):
            quantization.dequantize(tensor)
    else:
        numbers = quantization.dequantize(tensor).numpy()
        # The largest scales of mxfp4 are finite, their largest multiples are not.
        assert not np.isnan(numbers).any() if dtype is ggml.mxfp4 else np.isfinite(numbers).all()


def test_a_scale_that_is_not_finite() -> None:
    raw = np.zeros(34 * 3, np.uint8)
    raw[34:36] = np.frombuffer(np.float16(math.inf).tobytes(), np.uint8)
    with pytest.raises(ggml.ArgumentError, match="block of q8_0 whose scale is not finite"):
        quantization.check(ggml.from_buffer(raw, dtype=ggml.q8_0, shape=(3, 32)))
    raw[34:36] = 0
    quantization.check(ggml.from_buffer(raw, dtype=ggml.q8_0, shape=(3, 32)))


def test_any_half_is_a_number() -> None:
    x = ggml.tensor([math.inf, -math.inf, math.nan, 1.0]).half()
    np.testing.assert_array_equal(quantization.dequantize(x).numpy(), x.float().numpy())


# While it runs


def _large() -> ggml.Tensor:
    return ggml.from_numpy(_rows(4, (4000, 1024)))


def test_progress_is_told() -> None:
    heard: list[tuple[int, int]] = []
    quantization.quantize(_large(), ggml.iq3_s, progress=lambda done, total: heard.append((done, total)))
    done = [rows for rows, _ in heard]
    assert done == sorted(done) and done[-1] == 4000 and len(done) > 2 and {total for _, total in heard} == {4000}


@pytest.mark.parametrize("error", [KeyError, ValueError, RuntimeError])
def test_an_exception_of_progress_ends_the_work(error: type[Exception]) -> None:
    def stop(done: int, total: int) -> None:
        calls.append(done)
        raise error("enough")

    calls: list[int] = []
    with pytest.raises(error, match=r"^'?enough'?$"):
        quantization.quantize(_large(), ggml.iq3_s, progress=stop)
    assert len(calls) == 1 and calls[0] < 4000


@pytest.mark.skipif(sys.platform == "win32", reason="needs setitimer")
def test_a_signal_ends_the_work() -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        quantization.quantize(ggml.randn(1, 256), ggml.iq3_s)  # its tables are made once
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            quantization.quantize(_large(), ggml.iq3_s)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_other_threads_go_on() -> None:
    counted, is_over = [0], threading.Event()

    def count() -> None:
        while not is_over.is_set():
            counted[0] += 1
            time.sleep(0.001)

    other = threading.Thread(target=count)
    other.start()
    try:
        before = counted[0]
        quantization.quantize(_large(), ggml.iq3_s, num_threads=1)
        assert counted[0] > before + 5
    finally:
        is_over.set()
        other.join()
