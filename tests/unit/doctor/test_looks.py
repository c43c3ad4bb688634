"""Each look of `cluster doctor`, at real things where they can be had: ports, files, this library, this machine."""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.api.status import Health, StageActivity, StageFacts, StageStatus
from cluster.cli.command import main
from cluster.demo import model_path
from cluster.doctor.check import Check, has_failed, ok
from cluster.doctor.library import amx_check, check_library
from cluster.doctor.link import judge_link
from cluster.doctor.memory import _cgroup_limit_bytes, _swap
from cluster.doctor.model import _same, check_model
from cluster.doctor.ports import _ephemeral, check_ports
from cluster.doctor.versions import check_stage_versions, check_versions, installed_library, library_trouble
from cluster.node.state import ClusterState, write_state
from cluster.planning.measure.link import LinkFigures
from cluster.store.slices import SliceStore
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny

Doctor = Callable[..., tuple[int, str]]


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs `cluster doctor` in a home of its own: the exit code and what it printed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["doctor", *arguments])
        return code, capsys.readouterr().out

    return run


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def verdicts(checks: list[Check]) -> list[str]:
    return [check.verdict for check in checks]


def stage(pid: int, node: str = platform.node()) -> StageStatus:
    return StageStatus(StageFacts(0, node, "CPU", 0, 8, Health(), pid, 0, 0, 0, 0), StageActivity(), "")


def test_a_machine_that_works_has_no_failures(doctor: Doctor) -> None:
    code, text = doctor("--demo", "--devices", "CPU,CPU", "-c", "64", "-o", "json")
    checks = {check["name"]: check for check in json.loads(text)}
    assert code == 0, text
    for name in (
        "versions",
        "library",
        "AMX",
        "memory",
        "port",
        "link loopback",
        "model",
        "model memory",
        "slice store",
    ):
        assert name in checks
    assert checks["cluster"]["found"] == "none was started on this machine"
    assert checks["cuts"]["found"] == "7 places"


def test_a_failure_is_in_the_exit_code_and_says_what_to_do(doctor: Doctor, tmp_path: Path, taken_port: int) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(model_path().read_bytes()[:1000])
    code, text = doctor(str(broken), "--port", str(taken_port))
    assert code == 1
    failures = [line for line in text.splitlines() if line.startswith("FAIL")]
    assert [line.split()[1] for line in failures] == ["port", "model"]
    assert f"ss -ltnp 'sport = :{taken_port}'" in failures[0]
    assert "fetch or convert it again" in failures[1]


def test_a_cluster_that_does_not_answer_is_a_failure(doctor: Doctor, tmp_path: Path) -> None:
    state = ClusterState("i", "127.0.0.1:1", "n", True, "", "127.0.0.1:1", True, {"model": "/none.gguf", "devices": []})
    write_state(state)
    code, text = doctor()
    assert code == 1
    lines = [line.split()[1] for line in text.splitlines() if line.startswith("FAIL")]
    assert lines == ["cluster", "port", "model"]
    (tmp_path / "state" / "ggml-cluster" / "cluster.json").write_text("{")
    code, text = doctor()
    assert code == 1
    assert "FAIL  state " in text
    assert "delete that file if no cluster runs" in text


def test_memory_that_does_not_suffice_is_a_failure(doctor: Doctor) -> None:
    code, text = doctor("--demo", "--headroom", "0.9999999")
    assert code == 1
    assert "FAIL  model memory" in text
    assert "cluster plan" in text


def test_this_library_passes_and_a_warning_names_the_rebuild() -> None:
    checks, found = check_library()
    assert found is not None
    assert verdicts(checks) == ["ok"] * 3
    assert "none" in amx_check("flags\t\t: fpu avx512f\n", "").found
    assert "survives" in amx_check("flags\t\t: fpu amx_tile amx_int8\n", "").found
    trapped = amx_check("flags\t\t: amx_int8\n", "ggml: repacked weights\nfail the self-test")
    assert (trapped.verdict, trapped.found) == ("warn", "ggml: repacked weights fail the self-test")
    assert "GCC 13" in trapped.advice


def test_installed_versions_are_those_that_are_needed() -> None:
    assert verdicts(check_versions()) == ["ok"]


def test_the_library_of_a_process_is_looked_at() -> None:
    """This process has loaded it; one that has not, one that is gone and one elsewhere are told apart."""
    import worker_native

    assert worker_native.build()
    library = installed_library()
    assert verdicts(check_stage_versions([stage(os.getpid())], platform.node())) == ["ok"]
    (gone,) = check_stage_versions([stage(2**22 + 1)], platform.node())
    assert (gone.verdict, "is gone" in gone.found) == ("fail", True)
    (other,) = check_stage_versions([stage(1, "far")], platform.node())
    assert (other.verdict, other.found) == ("warn", "on node far, unseen from here")
    line = "7f00-7f01 r-xp 0 08:01 42   "
    assert library_trouble(f"{line}{library}\n", library) == ""
    assert "was replaced since it started" in library_trouble(f"{line}{library} (deleted)\n", library)
    assert "installed here is" in library_trouble(f"{line}/opt/other/libllama.so.0\n", library)
    assert library_trouble(f"{line}{sys.executable}\n", library) == "it has loaded no libllama"


def test_ports(taken_port: int) -> None:
    assert verdicts(check_ports(taken_port, "")) == ["ok", "fail"]
    assert verdicts(check_ports(0, "")) == ["ok", "ok"]
    assert verdicts(check_ports(0, f"127.0.0.1:{taken_port}")) == ["ok", "ok"]
    assert verdicts(check_ports(0, "127.0.0.1:1")) == ["ok", "fail"]
    assert _ephemeral("60000\t60100\n").verdict == "warn"
    assert _ephemeral("").verdict == "ok"


def test_a_container_s_limit_is_seen(tmp_path: Path) -> None:
    assert _cgroup_limit_bytes(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    assert _cgroup_limit_bytes(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("300000\n")
    assert _cgroup_limit_bytes(tmp_path) == 700_000
    assert _swap({"SwapTotal": ["", "4000000"], "SwapFree": ["", "1000000"]}).verdict == "warn"


def test_a_slow_link_is_a_warning() -> None:
    assert verdicts(judge_link("x", LinkFigures(1e-4, 1e9))) == ["ok", "ok"]
    assert verdicts(judge_link("x", LinkFigures(2e-2, 5e6))) == ["warn", "warn"]


def test_a_tokenizer_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sound = write_tiny(tmp_path / "tiny.gguf", TinyModel()).read_bytes()
    broken = {
        "doubled": (sound.replace(b"<0x41>", b"<0x42>", 1), "token 69 occurs twice"),
        "none": (sound.replace(b"tokenizer.ggml.model", b"tokenizer.ggml.mode1"), "it has no tokenizer"),
    }
    for name, (content, reason) in broken.items():
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(content)
        checks = check_model(str(path), None)
        assert verdicts(checks) == ["ok", "fail", "ok", "ok"]
        assert reason in checks[1].found
        assert f"{name}.gguf: " in checks[1].found


def test_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sound = str(write_tiny(tmp_path / "tiny.gguf", TinyModel()))
    assert verdicts(check_model(sound, None)) == ["ok", "ok", "ok", "ok"]
    single = str(write_tiny(tmp_path / "single.gguf", TinyModel(num_layers=1)))
    assert verdicts(check_model(single, None)) == ["ok", "ok", "warn", "ok"]
    assert _same("a" * 64, "a" * 64).verdict == "ok"
    assert _same("a" * 64, "b" * 64).found == "the file has aaaaaaaaaaaa, the cluster serves bbbbbbbbbbbb"
    assert not has_failed([ok("x", "y")])


def test_stored_slices_are_read_to_the_last_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = write_tiny(tmp_path / "tiny.gguf", TinyModel())
    stored = [SliceStore().get_slice(opened(model), *layers) for layers in ((0, 2), (2, 4))]
    assert check_model(str(model), None)[-1] == ok("stored slices", "2, all as they were written")
    status = stored[1].path.stat()
    with stored[1].path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    os.utime(stored[1].path, ns=(status.st_atime_ns, status.st_mtime_ns))
    found = check_model(str(model), None)[-1]
    assert (found.verdict, found.found) == ("fail", "[2, 4) of 4 not as written")
    assert [SliceStore().get_slice(opened(model), *layers).fresh for layers in ((0, 2), (2, 4))] == [False, True]
