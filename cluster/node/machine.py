"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cluster.node.library import checked_probe

OBSERVED_S = 1.0
PACKAGES = ("ggml-cluster", "llama-cpp-python", "ray", "grpcio")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and with what it was measured."""

    processor: str
    num_cores: int
    memory_bytes: int
    gpus: tuple[str, ...]
    system: str
    busy_cores_before: float  # what else was running: cores in use during a second before the first process of ours
    versions: tuple[str, ...]  # "name version"
    use_extra_bufts: bool = True  # whether the CPU's repacked weight layouts work; else nobody uses them


def this_machine() -> Machine:
    """The machine now; takes a second to see what else it does."""
    busy = busy_cores(OBSERVED_S)
    found = checked_probe()
    return Machine(
        processor=processor_name(),
        num_cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpus=tuple(f"{device.name}: {device.description}" for device in found.devices if device.kind == "gpu"),
        system=f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        busy_cores_before=busy,
        versions=(
            *(f"{name} {_version(name)}" for name in PACKAGES),
            found.build,
            f"Python {platform.python_version()}",
        ),
        use_extra_bufts=found.use_extra_bufts,
    )


def processor_name() -> str:
    """The CPU's model, as the system calls it."""
    return _first_value("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()


def available_bytes() -> int:
    """Memory that processes can still take without swapping (man 5 proc, /proc/meminfo); 0 where it is not told."""
    found = _first_value("/proc/meminfo", "MemAvailable")
    return int(found.split()[0]) * 1024 if found else 0


def count_threads(number: int) -> str:
    """``1 thread`` or ``2 threads``."""
    return f"{number} thread{'' if number == 1 else 's'}"


def busy_cores(seconds: float) -> float:
    """How many cores were in use on average in the next `seconds` (Linux; man 5 proc, /proc/stat, in ticks)."""
    before = _busy_ticks()
    time.sleep(seconds)
    return (_busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds


def _busy_ticks() -> int:
    user, nice, system, _idle, _iowait, irq, softirq, *_rest = map(
        int, Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    )
    return user + nice + system + irq + softirq


def _first_value(path: str, key: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
