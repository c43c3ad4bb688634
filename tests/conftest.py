"""What all tests share: a home of their own for state and slices, and clusters that are surely taken down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings

COMMAND_TIMEOUT_S = 240

# An example is slow where the machine has other work: that says nothing about what it tests.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# A shell ignores SIGINT for what it runs in the background. Tests that interrupt, and their children, need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class CliHome:
    """Runs the `cluster` command as a user would, with state, cache and temporary files of its own."""

    root: Path
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "CLUSTER_"))}
        return {
            **keep,
            "XDG_STATE_HOME": str(self.root / "state"),
            "XDG_CACHE_HOME": str(self.root / "cache"),
        }

    def run(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run ``cluster ARGUMENTS`` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "cluster.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
            **options,  # type: ignore[call-overload]
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``cluster ARGUMENTS``; the caller ends it, and `close` does where that did not come so far."""
        process = subprocess.Popen(
            [sys.executable, "-m", "cluster.cli", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Take down what is up, and end the commands that were started and still run."""
        self.run("down")
        for process in self._started:
            with process:  # which closes its pipes
                process.kill()

    @property
    def state_file(self) -> Path:
        return self.root / "state" / "ggml-cluster" / "cluster.json"

    def state(self) -> dict[str, object]:
        loaded: dict[str, object] = json.loads(self.state_file.read_text())
        return loaded

    @property
    def address(self) -> str:
        return str(self.state()["address"])

    @property
    def client_secret(self) -> Path:
        """The file that a client elsewhere would be given a copy of."""
        return self.state_file.with_name("client-secret")


@pytest.fixture
def cli_home(tmp_path: Path) -> Iterator[CliHome]:
    """A fresh home; whatever the test left up is taken down."""
    home = CliHome(tmp_path)
    yield home
    home.close()


UpCluster = Callable[..., AbstractContextManager[CliHome]]


@pytest.fixture(scope="session")
def up_cluster(tmp_path_factory: pytest.TempPathFactory) -> UpCluster:
    """A function: ``with up_cluster("--demo", "--stages", "2") as home``."""

    @contextmanager
    def up(*arguments: str) -> Iterator[CliHome]:
        home = CliHome(tmp_path_factory.mktemp("cluster"))
        try:
            done = home.run("up", *arguments)
            assert done.returncode == 0, done.stderr
            yield home
        finally:
            home.close()

    return up
