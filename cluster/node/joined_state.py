"""What `cluster join` remembers of what it started, so that later commands find it, whatever crashed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.api.errors import ClusterError
from cluster.node.disk import disk_error
from cluster.node.private import read_private, write_private
from cluster.node.processes import start_ticks

FILE = "joined.json"
ADVICE = "set XDG_STATE_HOME"


@dataclass(frozen=True, slots=True)
class JoinedState:
    """A node's processes. Set by the process that attends to the node."""

    pid: int  # of that process
    start_ticks: int
    instance: str = ""  # marks what it started: Ray, and stages; empty while there is nothing
    run_folder: str = ""
    ray_address: str = ""  # of the GCS, on the head
    namespace: str = ""
    members: tuple[tuple[int, int], ...] = ()  # (pid, start ticks) of all that was started by the time it was of use
    summary: str = ""  # what the head says that this node has; empty until it is of use

    @property
    def is_attended(self) -> bool:
        """Whether the process that attends to the node lives."""
        return start_ticks(self.pid) == self.start_ticks


def read_joined(home: Path) -> JoinedState | None:
    """What is remembered of the node with this home, or None. ClusterError where it cannot be believed."""
    path = home / FILE
    try:
        raw: Any = json.loads(read_private(path, others_may_look=True))
        members = tuple((int(pid), int(ticks)) for pid, ticks in raw.get("members", ()))
        state = JoinedState(**(raw | {"members": members}))
        numbers, texts = (state.pid, state.start_ticks), (state.instance, state.run_folder, state.ray_address)
        if not all(isinstance(number, int) for number in numbers) or not all(isinstance(text, str) for text in texts):
            raise ValueError("a field of another kind")
        return state
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ClusterError(f"{path}: {error.strerror or error}; make it readable") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ClusterError(f"{path}: damaged ({error}); delete it if this machine takes part in no cluster") from error


def write_joined(home: Path, state: JoinedState) -> None:
    """Replace the file in one step. ClusterError."""
    try:
        write_private(home / FILE, json.dumps(asdict(state), indent=1).encode())
    except OSError as error:
        raise disk_error(home, error, ADVICE) from error


def remove_joined(home: Path) -> None:
    """Forget it. ClusterError."""
    try:
        (home / FILE).unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(home, error, ADVICE) from error
