"""The library is tried in a child process first; one that crashes there costs a warning, not the stage."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cluster.api.errors import ClusterError
from cluster.node.library import checked_probe
from worker_native import probe as module
from worker_native.probe import probe

CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"


def crashing(*tasks: str) -> object:
    """A child that dies as a miscompiled library would, at these tasks."""
    real = module._child

    def child(task: str) -> str:
        if task not in tasks:
            return real(task)
        done = subprocess.run([sys.executable, "-c", CRASH], check=False)
        raise RuntimeError(f"exit status {done.returncode}")

    return child


def test_a_sound_library() -> None:
    found = probe()
    assert found.use_extra_bufts
    assert found.warning == ""
    assert "ggml" in found.build
    assert any(device.name == "CPU" and device.memory_free_bytes > 0 for device in found.devices)


def test_broken_extra_layouts_are_left_out_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_child", crashing("extra"))
    found = probe()
    assert not found.use_extra_bufts
    assert "exit status -11" in found.warning
    assert "rebuild llama-cpp-python" in found.warning


def test_a_library_broken_altogether_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_child", crashing("extra", "plain"))
    with pytest.raises(RuntimeError, match="rebuild llama-cpp-python"):
        probe()


def test_a_crash_of_the_real_child_is_reported_by_its_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="exit status 1"):
        module._child("facts")


def test_a_child_that_says_nothing_is_a_failure_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.01)
    with pytest.raises(module.ProbeTimeoutError, match=r"self-test did not end within 0\.01 s"):
        probe()
    with pytest.raises(ClusterError, match="see that the machine is not overloaded"):
        checked_probe()
