"""What a process that libllama ends leaves behind: the signal, and the last words."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.actors.driver.last_words import LastWords
from ggml.gguf.encode import ALIGNMENT, encode_header
from ggml.gguf.value import float32
from tests.native.arch_models import _random, metadata_of, tensors_of
from tests.native.conftest import ModelFiles

KEEP = """
import faulthandler, os, signal, sys
import numpy as np
import worker_native
faulthandler.enable()
worker_native.keep_last_words(sys.argv[1])
model = sys.argv[2]
"""
# The rules in front of it would refuse this model; a norm is computed in a thread of ggml's.
COMPUTE = """
opened = worker_native.Slice(model, n_ctx=32, n_slots=1, n_batch=16, n_ubatch=16)
opened.forward(np.array([3], np.int32), np.array([0], np.int32), np.array([0], np.int32), np.array([True]))
"""


def run(script: str, words: str, model: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KEEP + script, words, str(model)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def negative_eps(tmp_path: Path) -> Path:
    """A model whose norms are computed with an epsilon below 0."""
    path, tensors = tmp_path / "eps.gguf", tensors_of("llama-dense")
    keys = metadata_of("llama-dense") | {"llama.attention.layer_norm_rms_epsilon": float32(-1.0)}
    with path.open("wb") as file:
        file.write(encode_header(keys, tensors))
        for tensor in tensors:
            file.write(_random(tensor).tobytes() + bytes(-tensor.size_bytes % ALIGNMENT))
    return path


def test_an_assertion_is_in_its_own_words(negative_eps: Path) -> None:
    with LastWords() as words:
        assert run(COMPUTE, words.path(3), negative_eps).returncode == -signal.SIGABRT
        why = words.why(3)
    assert why.startswith("SIGABRT; libllama's last words: it needs eps >= 0.0f (ops.cpp:")
    assert why.endswith("; see what cluster doctor says of the model")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL])
def test_a_signal_has_its_name_and_ends_the_process_as_before(number: signal.Signals, model_file: ModelFiles) -> None:
    with LastWords() as words:
        done = run(f"os.kill(os.getpid(), {int(number)})", words.path(0), model_file())
        assert done.returncode == -number
        assert "Fatal Python error" in done.stderr, "whoever watched for it before still does"
        assert words.why(0).startswith(f"{number.name}; ")


def test_what_was_logged_last_is_said_too(model_file: ModelFiles) -> None:
    script = COMPUTE + "\nos.kill(os.getpid(), signal.SIGSEGV)"
    with LastWords() as words:
        run(script, words.path(0), model_file())
        assert words.why(0).startswith("SIGSEGV; libllama's last words: ")


def test_a_kill_from_outside_is_told_apart(model_file: ModelFiles) -> None:
    with LastWords() as words:
        run("os.kill(os.getpid(), signal.SIGKILL)", words.path(0), model_file())
        assert words.why(0) == (
            "killed, as systems do where memory is short; use less of it, then run cluster up again"
        )
        assert words.why(1).startswith("nothing is known of why")
        Path(words.path(2)).write_bytes(struct.pack("=ii", 77, 0) + b"\xff\x1b\0rest")
        assert words.why(2).startswith("signal 77; libllama's last words: \ufffd\x1b; ")
        Path(words.path(4)).write_bytes(b"x")
        assert words.why(4).startswith("nothing is known of why")


def test_a_file_that_is_there_is_left_alone(model_file: ModelFiles, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    done = run("", str(mine), model_file())
    assert (done.returncode, mine.read_text()) == (1, "mine")
    assert "RuntimeError: last words: " in done.stderr
