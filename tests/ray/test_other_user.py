"""What another user of the machine can do to a cluster before it starts, and while it runs: nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.node.run_folder import MAX_RAY_FOLDER_BYTES
from tests.conftest import CliHome
from tests.other_user import OTHER_UID, needs_other_user, run_as_other

MAX_SOCKET_PATH_BYTES = 107

# Leaves a note as Ray does, for whoever follows it; tells where it listens, and who came when its stdin ends.
PLANT = f"""
import os, pathlib, select, socket, sys
os.setgroups([]); os.setgid({OTHER_UID}); os.setuid({OTHER_UID})
folder = pathlib.Path(sys.argv[1], "ray")
folder.mkdir()
server = socket.create_server(("127.0.0.1", 0))
folder.joinpath("ray_current_cluster").write_text("127.0.0.1:%d" % server.getsockname()[1])
print("planted", flush=True)
came = 0
while True:
    ready, _, _ = select.select([server, sys.stdin], [], [])
    if server in ready:
        server.accept()[0].close()
        came += 1
    elif sys.stdin in ready:
        break
print(came, flush=True)
"""

# Tries to look into, and to put something into, whatever lies below the folder; prints what worked.
MEDDLE = """
run_folder, = sys.argv[1:]
worked = []
def tried(what, act):
    try:
        act()
        worked.append(what)
    except OSError:
        pass
def swap(path):
    os.rename(path, path + ".taken")
    os.rename(path + ".taken", path)
tried("list", lambda: os.listdir(run_folder))
tried("swap the folder", lambda: swap(run_folder))
for name in ("token", "ray", "ray/ray_current_cluster", "ray/session_latest", "ray/session_latest/sockets/raylet",
             "ray/session_latest/logs/raylet.out"):
    tried("read " + name, lambda: open(os.path.join(run_folder, name)).read(1))
    tried("swap " + name, lambda: swap(os.path.join(run_folder, name)))
for name in (".", "ray", "ray/session_latest/runtime_resources", "ray/session_latest/sockets"):
    tried("plant in " + name, lambda: os.mkdir(os.path.join(run_folder, name, "planted")))
print(json.dumps(worked))
"""


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder for all users, with a path much too long for sockets."""
    top = Path(tempfile.mkdtemp(dir="/tmp"))  # the other user has to get there: pytest's own folders are ours alone
    top.chmod(0o711)
    folder = top / ("long" * 20)
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(top)


@pytest.fixture
def planter(open_folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PLANT, str(open_folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "planted\n"
        yield process
        process.kill()


@needs_other_user
def test_nothing_planted_is_followed_and_nothing_running_can_be_changed(
    cli_home: CliHome, planter: subprocess.Popen[str]
) -> None:
    done = cli_home.run("up", "--demo", "--stages", "1")
    assert done.returncode == 0, done.stderr
    assert "starting Ray on this machine" in done.stderr
    assert planter.communicate("")[0] == "0\n", "somebody followed the note"
    run_folder = Path(str(cli_home.state()["run_folder"]))
    assert run_folder.stat().st_mode & 0o7777 == 0o700
    meddled = run_as_other(MEDDLE, str(run_folder))
    assert json.loads(meddled.stdout) == [], meddled.stderr
    sockets = [path for path in run_folder.rglob("*") if path.is_socket()]
    assert len(sockets) >= 2
    assert len(os.fsencode(run_folder / "ray")) <= MAX_RAY_FOLDER_BYTES
    assert max(len(os.fsencode(path.resolve())) for path in sockets) <= MAX_SOCKET_PATH_BYTES
    run_folder.chmod(0o777)  # as though somebody had been able to
    os.kill(stage_pid(cli_home), 9)
    refused = cli_home.run("up")
    assert refused.returncode == 1
    assert f"{run_folder}: others may write into it (mode 0777)" in refused.stderr.splitlines()[-1]
    assert cli_home.run("down").returncode == 0
    assert not run_folder.exists()


def stage_pid(home: CliHome) -> int:
    return int(json.loads(home.run("status", "-o", "json").stdout)["stages"][0]["pid"])
