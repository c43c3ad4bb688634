"""The device kit from end to end, with the CPU in place of a GPU and shapes that say nothing of speed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.gpu.kit.finding import Finding
from tests.gpu.kit.pack import pack
from tests.gpu.kit.parts.rows import MAX_DEATHS, compare_rows
from tests.gpu.kit.report import JSON, MARKDOWN
from tests.gpu.kit.runner import LOG, PARTS, Run
from tests.gpu.kit.settings import Settings
from tests.quick import some_quick

TIMEOUT_S = 300


@pytest.mark.parametrize("part", some_quick(PARTS, ("devices", "rows")))
def test_part_on_the_cpu(part: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tests.gpu.kit", "run", "--device", "CPU", "--size", "tiny"]
    command += ["--parts", part, "--out", str(out), "--scratch", str(tmp_path), "--budget", str(TIMEOUT_S - 20)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + (out / MARKDOWN).read_text() + (out / LOG).read_text()
    cases = json.loads((out / JSON).read_text())["cases"]
    assert cases and all(case["ended"] == "ok" for case in cases)
    assert all(any(found["verdict"] != "not run" for found in case["findings"]) for case in cases)
    assert f"## {part}" in (out / MARKDOWN).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "models and slices are gone"


def test_what_a_case_has_told_outlives_it(tmp_path: Path) -> None:
    settings = Settings("CPU", "tiny", str(tmp_path), str(tmp_path / "out"))
    notes: list[str] = []
    reports = Run(settings, ["tests.native.kit_trials", "no.such.part"], 200.0, notes.append).all()
    assert [(report.case, report.ended.split(" after ")[0]) for report in reports[:-1]] == [
        ("well", "ok"),
        ("raises", "ended with 1"),
        ("dies", "died of SIGABRT"),
        ("hangs", "had not ended"),
        ("well again", "ok"),
    ]
    assert all(report.findings[0].values == {"number": 1.5} for report in reports[:-1])
    ends = {report.case: report.findings[-1] for report in reports[1:4]}
    assert ends["raises"].why == "ValueError: a reason in two lines"
    assert ends["dies"].why.startswith("its process died of SIGABRT")
    assert ends["hangs"].why.startswith("its process had not ended after")
    assert reports[-1].findings[0].verdict == "not run"
    page = (tmp_path / "out" / MARKDOWN).read_text()
    assert "5 pass, 3 fail, 1 not run" in page
    assert "ValueError: a reason" in (tmp_path / "out" / LOG).read_text()
    assert len(notes) == 6


@pytest.mark.slow
def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    """Every case says so by itself."""
    settings = Settings("NOWHERE0", "tiny", str(tmp_path), str(tmp_path / "out"))
    parts = ("devices", "exactness", "slots", "rows", "throughput")
    for report in Run(settings, parts, 200.0, lambda text: None).all():
        last = report.findings[-1]
        assert (last.what, last.verdict) == ("to its end", "fail"), report
        assert "NOWHERE0" in " ".join(found.why for found in report.findings), report


def test_whoever_asks_for_names_opens_no_device() -> None:
    """What a driver does to a process must not happen to the one that writes the report."""
    code = """
import sys
from tests.gpu.kit.case import cases_of
from tests.gpu.kit.runner import PARTS
from tests.gpu.kit.settings import Settings
for size in ("tiny", "full"):
    for part in PARTS:
        cases = cases_of(part, Settings("CUDA0", size, "nowhere", "nowhere"))
        assert cases and len({case.name for case in cases}) == len(cases), part
print(*{"worker_native", "llama_cpp", "torch", "ggml"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""


def test_nothing_is_begun_without_time(tmp_path: Path) -> None:
    settings = Settings("CPU", "tiny", str(tmp_path), str(tmp_path / "out"))
    reports = Run(settings, ["tests.native.kit_trials"], 1.0, lambda text: None).all()
    assert [report.ended for report in reports] == ["not run"] * 5
    assert reports[0].findings[0].why == "no time is left of 1 s"


def test_rows_that_end_their_process_are_named() -> None:
    child = """
import json, os, sys
for name in sys.argv[1:]:
    if name == "dies":
        os.abort()
    print("a library talks")
    print(json.dumps({"name": name, "why": "wrong" if name == "errs" else ""}), flush=True)
"""
    found: list[Finding] = []
    compare_rows([sys.executable, "-c", child], ["one", "dies", "errs", "dies", "two"], found.append)
    assert [(one.what, one.why) for one in found[:-1]] == [
        ("dies", "its process ended with -6"),
        ("errs", "wrong"),
        ("dies", "its process ended with -6"),
    ]
    assert found[-1].values == {"right": "2/5"} and found[-1].verdict == "fail"
    found.clear()
    compare_rows([sys.executable, "-c", child], ["dies"] * (MAX_DEATHS + 9), found.append)
    assert found[-2].why == f"8 rows, after {MAX_DEATHS + 1} processes that died"


@pytest.mark.slow
def test_what_travels(tmp_path: Path) -> None:
    """Wheels and sources in one folder, a library once under all of its names, in parts that can be carried."""
    library = Path(sys.executable).resolve().read_bytes()[:4096]
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    _write_wheel(wheels / "other-1-py3-none-any.whl", {"other/__init__.py": b"", "other/lib.so": os.urandom(50_000)})
    names = ("lib/libllama.so", "llama_cpp/lib/libllama.so", "llama_cpp/lib/libllama.so.0")
    content = dict.fromkeys(names, library) | {"bin/llama-cli": b"no", "lib/libllama-common.so": b"no"}
    wheel = _write_wheel(tmp_path / "llama-1-py3-none-any.whl", content)
    out, notes = tmp_path / "out", list[str]()
    part_bytes = 200_000
    total = pack(wheel, out, "3.12", wheels, part_bytes, notes.append)
    parts = sorted(out.glob("kit.tar.xz.*"), key=lambda path: int(path.suffix[1:]))
    assert len(parts) > 1 and all(part.stat().st_size <= part_bytes for part in parts)
    assert total == sum(part.stat().st_size for part in parts)
    assert notes[-1].startswith("kit.tar.xz.0 0.2 MiB, ")
    whole = io.BytesIO(b"".join(part.read_bytes() for part in parts))
    with tarfile.open(fileobj=whole, mode="r|xz") as archive:
        archive.extractall(tmp_path / "there", filter="data")
    site = tmp_path / "there" / "site"
    assert {(site / name).stat().st_ino for name in names} == {(site / names[0]).stat().st_ino}
    assert (site / names[0]).read_bytes() == library and not (site / "bin").exists()
    assert [path.name for path in (site / "lib").iterdir()] == ["libllama.so"]
    for name in ("cluster/cli/up.py", "worker_native/CMakeLists.txt", "tests/gpu/kit/run.sh", "other/lib.so"):
        assert (site / name).is_file()
    assert (out / "run.sh").read_text() == (site / "tests/gpu/kit/run.sh").read_text()


def _write_wheel(path: Path, content: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path
