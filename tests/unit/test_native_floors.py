"""The folders of the extension's sources are floors: an include goes down only, and each folder says how far."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "worker_native" / "src"

# What each folder may include beside itself. A new folder fails until it stands here, above all that it includes.
FLOORS: dict[str, set[str]] = {
    "base": set(),
    "gguf": {"base"},
    "device": {"base"},
    "sampling": {"base"},
    "vocab": {"base", "gguf"},
    "slice": {"base", "gguf", "device"},
    "quantize": {"base"},
    "kernels": {"base"},
    "kernels/fourier": {"base", "kernels"},
    "kernels/spatial": {"kernels"},
    "graph/primitives": {"base", "kernels", "kernels/fourier", "kernels/spatial"},
    "graph": {"base", "device", "kernels", "graph/primitives"},
    "recorded": {"base", "graph"},
    "bind": {"base", "device", "sampling", "vocab", "slice", "quantize", "kernels", "graph", "graph/primitives"},
}

FILES = sorted(path for path in SOURCES.rglob("*") if path.suffix in (".h", ".cpp"))


def folder(path: Path) -> str:
    return path.parent.relative_to(SOURCES).as_posix()


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*"([^"]+)"', path.read_text(), re.MULTILINE)


def test_every_folder_has_a_floor_and_every_floor_a_folder() -> None:
    assert {folder(path) for path in FILES} == set(FLOORS)


def test_the_floors_go_down() -> None:
    seen: set[str] = set()
    for name, below in FLOORS.items():
        assert below <= seen, f"{name} stands above what it may include"
        seen.add(name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCES)))
def test_includes_are_written_from_the_root_and_go_down(path: Path) -> None:
    for name in includes(path):
        assert (SOURCES / name).is_file(), f"{name}: includes are written from src/"
        target = folder(SOURCES / name)
        assert target == folder(path) or target in FLOORS[folder(path)], f"{folder(path)} may not include {name}"


def test_nothing_is_allowed_that_nobody_uses() -> None:
    used = {(folder(path), folder(SOURCES / name)) for path in FILES for name in includes(path)}
    assert {(name, other) for name, below in FLOORS.items() for other in below} <= used


def test_no_two_headers_include_each_other() -> None:
    """Inside a folder, too, there is no circle."""
    below = {str(path.relative_to(SOURCES)): set(includes(path)) for path in FILES if path.suffix == ".h"}
    while free := [name for name, names in below.items() if not names & below.keys()]:
        for name in free:
            del below[name]
    assert not below
