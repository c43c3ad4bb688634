"""The actor of one rank: it runs the script in a thread, so that it can be asked how far that is."""

from __future__ import annotations

import os
import platform
import runpy
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.actors.training.output import Output
from cluster.actors.training.passes import HeldPass, Pass, name_of
from cluster.actors.training.seats import Seat
from cluster.api.errors import UnreachableError, UsageError
from cluster.train.default_group import prepare
from cluster.train.process_group import ProcessGroup
from cluster.trust.node_key import new_key, signing_request


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of a rank since it was looked at last."""

    output: str  # what the script has printed
    has_ended: bool
    failure: str  # the traceback, or what the script exited with; empty where all went well
    lost_neighbour: bool  # it failed because another rank was gone, which is the one to ask


class TrainingWorker:
    """One rank in its own process. Methods return at once."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._key_pem = new_key()
        self._held: HeldPass | None = None
        self._group: ProcessGroup | None = None
        self._output = Output()
        self._thread: threading.Thread | None = None
        self._failure, self._lost_neighbour = "", False

    def request(self) -> bytes:
        """For a certificate over the key of this rank, which does not leave this process."""
        return signing_request(self._key_pem, name_of(self._seat.rank))

    def listen(self, told: Pass) -> str:
        """Where other ranks are to call this one from now on; empty for a group of one. ClusterError."""
        self._held = HeldPass(told, self._seat.rank, self._key_pem)
        self._group = ProcessGroup(self._seat.rank, self._seat.world_size, self._held.listener)
        return self._group.address

    def begin(self, addresses: Sequence[str], script: str, arguments: Sequence[str]) -> None:
        """Connect to the ranks, which listen at `addresses`, and start the script.

        HandshakeError, UnauthenticatedError, UnreachableError; UsageError where the script is not on this machine.
        """
        import ggml

        assert self._group is not None and self._held is not None, "it listens by now"
        if not Path(script).is_file():
            raise UsageError(f"{script}: no such file on {platform.node()}; put it there under the same path")
        held = self._held
        self._group.join([held.endpoint(rank, address) for rank, address in enumerate(addresses)])
        seat = self._seat
        ggml.set_num_threads(max(1, len(os.sched_getaffinity(0)) // seat.local_world_size))
        # torchrun's names, which scripts and libraries read.
        os.environ.update(RANK=str(seat.rank), WORLD_SIZE=str(seat.world_size))
        os.environ.update(LOCAL_RANK=str(seat.local_rank), LOCAL_WORLD_SIZE=str(seat.local_world_size))
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
            if self._group is not None:
                self._group.close()
