"""Versions: of this environment, and of the processes of the cluster that is up."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from cluster.api.status import StageStatus
from cluster.doctor.check import Check, fail, ok, read_text, warn

PACKAGE = "ggml-cluster"
RESTART = "run cluster down, then cluster up, so that all processes load what is installed now"


def check_versions() -> list[Check]:
    """What is installed here is what this package asks for."""
    needed = [Requirement(text) for text in requires(PACKAGE) or () if ";" not in text]
    installed = {item.name: _version(item.name) for item in needed}
    wrong = [
        f"{item.name} {installed[item.name] or 'missing'}, needed is {item.specifier or 'any'}"
        for item in needed
        if not _satisfies(item, installed[item.name])
    ]
    shown = ", ".join(f"{name} {installed[name]}" for name in ("llama-cpp-python", "ray", "grpcio", "numpy"))
    if wrong:
        return [fail("versions", "; ".join(wrong), f"pip install {PACKAGE} again in this environment")]
    return [ok("versions", f"{PACKAGE} {_version(PACKAGE)}, Python {platform.python_version()}, {shown}")]


def check_stage_versions(stages: Sequence[StageStatus], this_node: str) -> list[Check]:
    """Every stage runs on the library that is installed here, as a file: not on one that was replaced since."""
    library = installed_library()
    checks = []
    for stage in stages:
        name = f"stage {stage.stage} library"
        if stage.node != this_node:
            checks.append(warn(name, f"on node {stage.node}, unseen from here", "run cluster doctor there too"))
            continue
        maps = read_text(f"/proc/{stage.pid}/maps")
        if not maps:
            checks.append(fail(name, f"process {stage.pid} is gone or not ours", "run cluster up to repair"))
            continue
        trouble = library_trouble(maps, library)
        checks.append(fail(name, trouble, RESTART) if trouble else ok(name, "the one that is installed here"))
    return checks


def installed_library() -> Path:
    """libllama of this environment."""
    spec = importlib.util.find_spec("llama_cpp")
    assert spec is not None, "worker_native needs it"
    assert spec.origin is not None
    return (Path(spec.origin).parent / "lib" / "libllama.so").resolve()


def library_trouble(maps: str, expected: Path) -> str:
    """What is wrong with the libllama of a process whose /proc/PID/maps this is; empty if nothing is."""
    found = {line.split(maxsplit=5)[-1] for line in maps.splitlines() if "/libllama.so" in line}
    if not found:
        return "it has loaded no libllama"
    for path in sorted(found):
        if path.endswith(" (deleted)"):
            return f"it runs on {path.removesuffix(' (deleted)')}, which was replaced since it started"
        if Path(path) != expected:
            return f"it runs on {path}, installed here is {expected}"
    return ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _satisfies(needed: Requirement, installed: str | None) -> bool:
    return installed is not None and needed.specifier.contains(installed, prereleases=True)
