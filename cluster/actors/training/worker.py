"""The actor of one rank: it runs the script in a thread, so that it can be asked how far that is."""

from __future__ import annotations

import os
import runpy
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.actors.training.output import Output
from cluster.api.errors import UnreachableError
from cluster.node.secret import read_secret
from cluster.train.default_group import prepare
from cluster.train.process_group import ProcessGroup
from cluster.wire.access.endpoint import Endpoint, Listener


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of a rank since it was looked at last."""

    output: str  # what the script has printed
    has_ended: bool
    failure: str  # the traceback, or what the script exited with; empty where all went well
    lost_neighbour: bool  # it failed because another rank was gone, which is the one to ask


class TrainingWorker:
    """One rank in its own process. Methods return at once."""

    def __init__(self, rank: int, world_size: int, secret_file: str) -> None:
        """`secret_file`: on this machine; holds what the ranks know each other by."""
        self._secret = read_secret(Path(secret_file))
        self._group = ProcessGroup(rank, world_size, Listener(self._secret))
        self._output = Output()
        self._thread: threading.Thread | None = None
        self._failure, self._lost_neighbour = "", False

    def address(self) -> str:
        """Where other ranks are to call this one; empty for a group of one."""
        return self._group.address

    def begin(self, addresses: Sequence[str], script: str, arguments: Sequence[str], num_threads: int) -> None:
        """Connect to the ranks, which listen at `addresses`, and start the script.

        HandshakeError, UnauthenticatedError, UnreachableError.
        """
        import ggml

        self._group.join([Endpoint(address, self._secret) for address in addresses])
        ggml.set_num_threads(num_threads)
        rank, world_size = str(self._group.rank), str(self._group.world_size)
        # torchrun's names, which scripts and libraries read.
        os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=world_size, LOCAL_WORLD_SIZE=world_size)
        prepare(self._group)
        self._thread = threading.Thread(target=self._run, args=(script, arguments), name="script", daemon=True)
        self._thread.start()

    def look(self) -> Seen:
        """How it stands; what was printed is told once."""
        has_ended = self._thread is not None and not self._thread.is_alive()
        return Seen(self._output.fetch(), has_ended, self._failure, self._lost_neighbour)

    def _run(self, script: str, arguments: Sequence[str]) -> None:
        sys.stdout = sys.stderr = self._output
        sys.argv = [script, *arguments]
        sys.path.insert(0, str(Path(script).parent))
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as end:
            self._failure = "" if end.code in (None, 0) else f"the script exited with {end.code}"
        except BaseException as error:
            self._lost_neighbour = isinstance(error, UnreachableError)
            self._failure = "".join(traceback.format_exception(error))
        finally:
            self._group.close()
