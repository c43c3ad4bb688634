"""Loading, closing, threads, and memory that does not grow."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import worker_native
from tests.native.conftest import ModelFiles, SamplingSlice, arrays, prompt, run, sampler
from tests.native.tiny_model import TinyModel, write_model
from worker_native import Slice

SIZES: dict[str, Any] = {"n_ctx": 64, "n_slots": 3}


@pytest.fixture(scope="module")
def slow_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough that a prompt takes a good part of a second."""
    model = TinyModel(num_layers=6, width=1024, num_heads=16, num_kv_heads=16, ffn_width=4096)
    return write_model(tmp_path_factory.mktemp("slow") / "slow.gguf", model)


def test_progress_rises_to_one(model_file: ModelFiles) -> None:
    seen: list[float] = []
    Slice(str(model_file()), **SIZES, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_progress_that_returns_false_cancels(model_file: ModelFiles) -> None:
    with pytest.raises(RuntimeError, match="cancelled"):
        Slice(str(model_file()), **SIZES, progress=lambda share: False)


def test_an_exception_in_progress_cancels_and_is_raised(model_file: ModelFiles) -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt("enough")

    with pytest.raises(KeyboardInterrupt, match="enough"):
        Slice(str(model_file()), **SIZES, progress=stop)


def test_a_closed_slice_refuses_everything(model_file: ModelFiles) -> None:
    one = Slice(str(model_file()), **SIZES)
    run([one], prompt([1]))
    one.close()
    one.close()
    calls = [
        lambda: one.forward(*arrays(prompt([1]))),
        lambda: one.wanted_logits(),
        lambda: one.logits([0]),
        lambda: one.slot_length(0),
        lambda: one.prepare_slot(0, 0, 0),
        lambda: one.set_row_sizes([1]),
        lambda: one.measure_rows(1),
        lambda: one.set_threads(1),
        lambda: one.compute_bytes,
    ]
    for call in calls:
        with pytest.raises(ValueError, match="closed"):
            call()
    assert one.n_ctx == 64


def test_other_threads_run_during_forward_and_may_not_enter(slow_file: Path) -> None:
    one = Slice(str(slow_file), n_ctx=512, n_slots=1)
    done = threading.Event()
    ticks, refused = 0, 0

    def tick() -> None:
        nonlocal ticks, refused
        while not done.is_set():
            ticks += 1
            try:
                one.slot_length(0)
            except RuntimeError:
                refused += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    for number in range(10):
        try:
            one.forward(*arrays(prompt([1] * 32, start=32 * number)))
        except RuntimeError:  # the other thread was inside for a moment
            break
    took_ms = (time.perf_counter() - start) * 1000
    done.set()
    thread.join()
    assert ticks > 10, f"{ticks} ticks in {took_ms} ms"
    assert refused > 5


def rss_bytes() -> int:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def test_forwards_and_slots_used_again_do_not_grow_memory(model_file: ModelFiles) -> None:
    parts = [SamplingSlice(str(model_file("q4_0", layers)), **SIZES) for layers in ((0, 2), (2, 4))]

    def serve(times: int) -> None:
        for number in range(times):
            slot = number % 3
            for part in parts:
                part.prepare_slot(slot, slot, 0)
            parts[1].sampler.set(slot, sampler(temperature=1.0, repeat_penalty=1.1, logprobs=3))
            run(parts, prompt(list(range(20)), slot=slot))
            parts[1].sample([19])

    serve(30)
    before = rss_bytes()
    serve(300)
    assert rss_bytes() - before < 2 * 2**20


def test_loading_and_closing_do_not_grow_memory(model_file: ModelFiles) -> None:
    def load(times: int) -> None:
        for _ in range(times):
            Slice(str(model_file()), **SIZES).close()

    load(5)
    before = rss_bytes()
    load(40)
    assert rss_bytes() - before < 4 * 2**20


def test_a_failed_forward_leaves_the_slots_as_they_were(model_file: ModelFiles) -> None:
    parts = [Slice(str(model_file("q4_0", layers)), **SIZES) for layers in ((0, 2), (2, 4))]
    run(parts, prompt([1, 2, 3]))
    lengths = [[part.slot_length(slot) for slot in range(3)] for part in parts]
    for part in parts:
        with pytest.raises(ValueError, match="positions"):
            part.forward(*arrays([(1, 3, 0, True), (1, 9, 1, True)]), None if part.is_first else np.zeros((2, 64), "f"))
    assert [[part.slot_length(slot) for slot in range(3)] for part in parts] == lengths
    assert np.isfinite(run(parts, prompt([4], start=3))).all()


def test_timings_count_steps_and_rows(whole: Slice) -> None:
    run([whole], prompt([1, 2, 3]))
    run([whole], prompt([4], start=3))
    timings = whole.timings
    assert (timings["steps"], timings["rows"]) == (2.0, 4.0)
    assert timings["forward_ms"] > 0


def test_log_lines_arrive_whole_and_a_failing_callback_does_no_harm(
    model_file: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[tuple[int, str]] = []
    worker_native.set_log(lambda level, line: lines.append((level, line)))
    Slice(str(model_file()), **SIZES).close()
    assert any("llama_context" in line for _, line in lines)
    assert not any(line.endswith("\n") for _, line in lines)
    assert {level for level, _ in lines} <= {1, 2, 3, 4}

    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    worker_native.set_log(lambda level, line: 1 // 0)
    Slice(str(model_file()), **SIZES).close()
    assert unraisable


EXIT = """
import sys, threading, numpy, worker_native
worker_native.set_log(lambda level, line: None)
one = worker_native.Slice(sys.argv[1], n_ctx=64, n_slots=1)
zero, row = numpy.zeros(1, numpy.int32), numpy.ones(1, numpy.bool_)
started = threading.Event()
def serve():
    while True:
        one.forward(zero, zero, zero, row)
        one.prepare_slot(0, 0, 0)
        started.set()
threading.Thread(target=serve, daemon=True).start()
started.wait()
"""


@pytest.mark.parametrize("_", range(3))
def test_the_interpreter_ends_cleanly_while_another_thread_computes(model_file: ModelFiles, _: int) -> None:
    command = [sys.executable, "-c", EXIT, str(model_file())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_importing_neither_prints_nor_loads_python_packages() -> None:
    code = "import worker_native, sys; print(sorted({'numpy', 'ray', 'grpc', 'llama_cpp'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ended.stdout.strip(), ended.stderr) == ("[]", "")
