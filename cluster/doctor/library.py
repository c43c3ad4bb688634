"""The native library: does it compute, and does it survive AMX."""

from __future__ import annotations

from cluster.doctor.check import Check, fail, ok, read_text, warn
from worker_native.probe import Probe, ProbeTimeoutError, probe

REBUILD = "build llama-cpp-python again with GCC 13 or newer, or clang, and no cached wheel (pip --no-cache-dir)"


def check_library() -> tuple[list[Check], Probe | None]:
    """Self-test in a child process, which a miscompiled library kills."""
    try:
        found = probe()
    except ProbeTimeoutError as error:
        return [fail("library", str(error), "see that the machine is not overloaded")], None
    except RuntimeError as error:
        return [fail("library", str(error), REBUILD)], None
    checks = [ok("library", f"self-test passed: {found.build}")]
    checks.append(amx_check(read_text("/proc/cpuinfo"), found.warning))
    devices = ", ".join(f"{device.name} ({device.description})" for device in found.devices)
    checks.append(ok("devices", devices))
    return checks, found


def amx_check(cpuinfo: str, warning: str) -> Check:
    """`warning`: what the probe says where repacked weights crash or err."""
    has_amx = any(
        "amx_int8" in line.split() or "amx_tile" in line.split()
        for line in cpuinfo.splitlines()
        if line.startswith("flags")
    )
    if warning:
        return warn("AMX", " ".join(warning.split()), REBUILD)
    return ok("AMX", "this CPU has it, and the library survives it" if has_amx else "this CPU has none")
