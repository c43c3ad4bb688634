"""Asks the native library what it is and whether it can be trusted, from a child process that may die of it.

    python -m worker_native.probe      # one JSON object: build, devices, and which weight layouts work

GCC before 13 miscompiles ggml's AMX tile setup: such a library kills its process at the first quantised product.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A ggml device as the child saw it."""

    name: str
    kind: str
    description: str
    memory_total_bytes: int
    memory_free_bytes: int


@dataclass(frozen=True, slots=True)
class Probe:
    """The child's findings. `use_extra_bufts` is False where the repacked weight layouts crash or err."""

    build: str
    devices: tuple[DeviceFacts, ...]
    use_extra_bufts: bool
    warning: str  # empty, or why and what to do


class ProbeTimeoutError(RuntimeError):
    """The child said nothing for too long: the machine has no time for it, or the library hangs."""


def probe() -> Probe:
    """Look at the library in a child process. RuntimeError if even the plain layouts fail, or the child is silent."""
    facts = json.loads(_child("facts"))
    failure = _failure("extra")
    if failure and (plain := _failure("plain")):
        raise RuntimeError(f"ggml: the installed library fails its self-test ({plain}); rebuild llama-cpp-python")
    warning = failure and (
        f"ggml: repacked weights fail the self-test ({failure}), so they are off and slower ones are used; "
        "rebuild llama-cpp-python with GCC 13 or newer, clang, or -mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
    )
    devices = tuple(DeviceFacts(**device) for device in facts["devices"])
    return Probe(facts["build"], devices, use_extra_bufts=not failure, warning=warning)


def _child(task: str) -> str:
    command = [sys.executable, "-m", "worker_native.probe", task]
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment)
    except subprocess.TimeoutExpired:
        raise ProbeTimeoutError(f"the library's self-test did not end within {TIMEOUT_S} s") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"exit status {done.returncode}")
    return done.stdout


def _failure(task: str) -> str:
    """Why the child failed at `task`; empty if it did not."""
    try:
        _child(task)
    except RuntimeError as error:
        return str(error)
    return ""


def _main(task: str) -> None:
    from worker_native import build, devices, self_test

    if task in ("extra", "plain"):
        self_test(task == "extra")
        return
    names = ("name", "kind", "description", "memory_total_bytes", "memory_free_bytes")
    listed = [{name: getattr(device, name) for name in names} for device in devices()]
    print(json.dumps({"build": build(), "devices": listed}))


if __name__ == "__main__":
    _main(sys.argv[1] if len(sys.argv) > 1 else "facts")
