"""The wheel of llama.cpp: which flags it is built with, and when another one is needed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker_native import build_llama


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    monkeypatch.setattr(build_llama, "cpu_description", lambda: "fpu avx2")
    monkeypatch.setattr(build_llama, "compiler_version", lambda: "g++ (Debian 12.2.0-14) 12.2.0")


def folder() -> Path:
    return build_llama.cache_folder(build_llama.cmake_args())


def test_the_same_flags_give_the_same_folder(tmp_path: Path) -> None:
    assert folder() == folder()
    assert tmp_path in folder().parents


def test_whatever_changes_the_result_changes_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [folder()]
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_CUDA=on")
    folders.append(folder())
    monkeypatch.setattr(build_llama, "cpu_description", lambda: "fpu avx512f")
    folders.append(folder())
    monkeypatch.setattr(build_llama, "compiler_version", lambda: "g++ (Debian 13.2.0) 13.2.0")
    folders.append(folder())
    monkeypatch.setenv("CXXFLAGS", "-O1")
    folders.append(folder())
    assert len(set(folders)) == 5


def test_the_users_flags_come_last_and_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_RPC=OFF")
    assert build_llama.cmake_args().split().index("-DGGML_RPC=OFF") > 0


@pytest.mark.parametrize(
    ("cpu", "compiler", "guarded"),
    [
        ("fpu amx_tile", "g++ (Debian 12.2.0-14) 12.2.0", True),
        ("fpu amx_tile", "g++ (Debian 13.2.0) 13.2.0", False),
        ("fpu amx_tile", "Debian clang version 14.0.6", False),
        ("fpu avx2", "g++ (Debian 12.2.0-14) 12.2.0", False),
    ],
)
def test_amx_is_left_out_where_the_compiler_breaks_it(
    cpu: str, compiler: str, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_llama, "cpu_description", lambda: cpu)
    monkeypatch.setattr(build_llama, "compiler_version", lambda: compiler)
    assert ("-mno-amx-tile" in build_llama.cmake_args()) is guarded


def test_a_failing_build_shows_the_end_of_its_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build_llama, "REQUIREMENT", "./no-such-folder")
    with pytest.raises(SystemExit, match=r"the build failed; the whole log is .*build\.log"):
        build_llama.build("", tmp_path / "wheels")
    assert os.listdir(tmp_path / "wheels") == ["build.log"]


def test_whatever_is_left_out_of_the_build_changes_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = folder()
    options = tmp_path / "options.cmake"
    options.write_text(build_llama.OPTIONS.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(build_llama, "OPTIONS", options)
    assert folder() == before, "the same options in another checkout need no other wheel"
    options.write_text("# nothing\n", encoding="utf-8")
    assert folder() != before
