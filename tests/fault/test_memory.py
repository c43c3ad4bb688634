"""Memory that runs short: for a slice that is loaded, for a stage that computes, and on the whole machine.

Limits are those of `ulimit -v`, set from outside: other limits need rights that not everybody has.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import cluster
from tests.conftest import CliHome, UpCluster
from tests.fakes.wire_backends import wait_until
from tests.fault.streams import check_alike, happen, processes, stage_pids, streams_of, wait_ready
from tests.fault.table import Table
from tests.proc import shown

pytestmark = [pytest.mark.ray, pytest.mark.slow]

MIB = 2**20
CONTEXT, KV_MIB = 4096, 64  # of each of two stages
TO_SPARE_BYTES = 60 * MIB  # enough for all that comes before the cache
LEFT_BYTES = 1 << 30  # below that Ray ends workers, in a test that wants it to


@pytest.fixture(scope="module")
def home(up_cluster: UpCluster) -> Iterator[CliHome]:
    with up_cluster("--demo", "--stages", "2", "-c", str(CONTEXT), "--no-http") as home:
        yield home


def size_bytes(pid: int) -> int:
    """Of its address space."""
    (line,) = [line for line in shown(pid, "status").splitlines() if line.startswith(b"VmSize:")]
    return int(line.split()[1]) * 1024


def let_grow_by(pid: int, num_bytes: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_AS, (size_bytes(pid) + num_bytes, resource.RLIM_INFINITY))


def set_free(pids: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_fault_09_a_stage_is_loaded_where_memory_is_short(home: CliHome, table: Table) -> None:
    """What it lacks is said, and what to do; once there is memory, the streams go on."""
    wait_ready(home)
    undisturbed = streams_of(home)
    (spare,) = processes(home, b"ray::IDLE")
    let_grow_by(spare, TO_SPARE_BYTES)

    def told() -> str:
        return home.run("logs", "supervisor", "-n", "100").stdout

    def kill() -> None:
        os.kill(stage_pids(home)[1], signal.SIGKILL)
        try:
            wait_until(lambda: "not repaired" in told(), 30)
        finally:
            set_free({spare})

    check_alike(undisturbed, happen(home, table, "kill -9 of stage 1 of 2, and no memory for another", kill))
    assert spare in stage_pids(home), "the same process has loaded it, once it could"
    why = (
        rf"not repaired: stage 1: .*insufficient memory \(attempted to allocate +{KV_MIB}\.00 MB\); use .* fewer slots"
    )
    assert re.search(why, told()), told()


def test_fault_09_a_stage_that_gets_no_more_memory(home: CliHome, table: Table) -> None:
    """It has what it needs, since caches and graphs are as large as they get when it is loaded; or it is replaced."""
    wait_ready(home)
    undisturbed, before = streams_of(home), stage_pids(home)

    def take_away() -> None:
        for pid in before:
            let_grow_by(pid, 0)

    try:
        streams = happen(home, table, "no more memory for both stages", take_away, 4 * len(undisturbed[0].tokens))
        check_alike(undisturbed, streams)
        with cluster.connect(home.address, home.client_secret) as client:
            assert client.generate("Once", max_tokens=8, ignore_eos=True).token_ids
    finally:
        set_free(set(before))
    print(f"{sum(old == new for old, new in zip(before, stage_pids(home), strict=True))} of 2 stages are the same")


def test_fault_09_a_model_that_cannot_fit_is_refused_before_anything_starts(cli_home: CliHome) -> None:
    done = cli_home.run("up", "--demo", "--stages", "2", "--headroom", "0.9999")
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert re.match(r"cluster: memory: the model does not fit: .* needs [\d.]+ .iB.* has [\d.]+ .iB", line), line
    assert not cli_home.state_file.exists()


@dataclass(frozen=True)
class WatchedHome(CliHome):
    """Ray ends workers of this one when more than a share of the machine's memory is used."""

    threshold: float = field(default=0.95, kw_only=True)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **super().environment,
            "RAY_memory_usage_threshold": f"{self.threshold:.4f}",
            "RAY_memory_monitor_refresh_ms": "100",
        }


def memory() -> tuple[int, int]:
    """Bytes of this machine that are used, and all, as the kernel counts what is available."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return found["MemTotal"] - found["MemAvailable"], found["MemTotal"]


class Hog:
    """Another process, which takes as much memory as it is told, and gives all of it back at its end."""

    def __init__(self) -> None:
        script = "data = []\nwhile True: data.append(b'1' * int(input())); print(flush=True)"
        self._process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def take(self, num_bytes: int) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(num_bytes, file=self._process.stdin, flush=True)
        self._process.stdout.readline()

    def end(self) -> None:
        with self._process:
            self._process.kill()


def test_fault_10_ray_ends_workers_where_memory_is_short(tmp_path: Path, table: Table) -> None:
    """As many as it takes for the memory to suffice: here that are all at once, who repairs included."""
    used_bytes, all_bytes = memory()
    if all_bytes - used_bytes < 4 * LEFT_BYTES:
        pytest.skip("the machine has too little free memory to be made short of it on purpose")
    threshold_bytes = used_bytes + 3 * LEFT_BYTES
    home, base, more = WatchedHome(tmp_path, threshold=threshold_bytes / all_bytes), Hog(), Hog()
    try:
        done = home.run("up", "--demo", "--stages", "2", "--no-http")
        assert done.returncode == 0, done.stderr
        wait_ready(home)
        before, undisturbed = actors_of(home), streams_of(home)
        assert len(before) == 4
        base.take(max(0, threshold_bytes - memory()[0] - LEFT_BYTES // 2))

        def take() -> None:
            while before <= actors_of(home):
                assert memory()[0] < threshold_bytes + LEFT_BYTES, "nobody was ended"
                more.take(128 * MIB)
                time.sleep(0.1)
            more.end()

        check_alike(undisturbed, happen(home, table, "memory is short on the machine: Ray ends workers", take))
        run_folder = Path(str(home.state()["run_folder"]))
        log = "".join(path.read_text(errors="replace") for path in run_folder.rglob("raylet.out"))
        assert "OOM kill reason" in log
        print(f"{len(before - actors_of(home))} of {len(before)} processes are others")
    finally:
        more.end()
        base.end()
        home.close()


def actors_of(home: CliHome) -> set[int]:
    return processes(home, b"ray::StageWorker", b"ray::Coordinator", b"ray::Supervisor")
