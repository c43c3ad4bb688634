"""The coordinator actor: a thin shell around `CoordinatorService`. Left undecorated."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.api.errors import UsageError
from cluster.coordinator.journal.journal import Journal
from cluster.coordinator.service import CoordinatorService
from cluster.coordinator.spec import AnySpec, ProgramSpec, StageEndpoint, journal_identity
from cluster.node.dated_log import date_log
from cluster.node.heap import freeze_heap, return_large_blocks
from cluster.node.home import Home, read_home
from cluster.node.secret import read_secret
from cluster.stage.cores import prepare_process
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.keys import client_listener, keys_of
from cluster.wire.transport.channel import check_port_free, host_of, port_of

if TYPE_CHECKING:
    from cluster.coordinator.programs.service import ProgramService

# What the kernel may take to end the former coordinator, which has the port, after Ray has said that it is gone.
FORMER_S = 2.0


class Coordinator:
    """Schedules microbatches and serves clients; holds the vocabulary, and no weights."""

    def __init__(self, spec: AnySpec, home: str) -> None:
        """`home`: the folder of this node that says who it is, and holds the cluster's secret and that of clients."""
        date_log()
        self._spec = spec
        self._home = Path(home)
        self._service: CoordinatorService | ProgramService | None = None

    def pid(self) -> int:
        return os.getpid()

    def fits(self, spec: AnySpec) -> bool:
        """Whether it is the coordinator that a plan wants."""
        own = self._spec
        return replace(spec, source=own.source, ray_processes=own.ray_processes, plan=own.plan) == own

    def start(self, former: str = "") -> str:
        """Load the vocabulary and listen for clients. Returns the address; again, if it listens already.

        `former`: where another one listened before it: clients look for it there.
        Not in ``__init__``: Ray tells the caller of a method why it failed, not that of a constructor.
        """
        if self._service is None:
            prepare_process()
            home = read_home(self._home)
            secret = read_secret(home.client_secret_file)
            clients = client_listener(home, secret, self._spec.host, self._port(former))
            self._service = _service_of(self._spec, home, clients)
            freeze_heap()
            return_large_blocks()
        return self._service.start()

    def trouble(self) -> str:
        """Why it does not serve, or ""; asked often, so that it asks nobody else."""
        return "" if self._service is None else self._service.trouble

    def give_up(self, why: str) -> None:
        """Nobody repairs what is lost any more, for that reason; "" takes it back."""
        if self._service is not None:
            self._service.give_up(why)

    def pause(self, why: str) -> None:
        """The stages are to be placed anew on purpose; at once where it does not serve."""
        if self._service is not None:
            self._service.pause(why)

    def expect(self) -> None:
        """The stages are on their way back: patience with them begins anew."""
        if self._service is not None:
            self._service.expect()

    def refuse(self) -> int:
        """Take no new requests any more. How many are open."""
        return 0 if self._service is None else self._service.refuse()

    def epoch(self) -> int:
        """The newest epoch that was begun; 0 before the first."""
        return 0 if self._service is None else self._service.epoch

    def hold_recovery(self) -> int:
        """Leave the stages to the caller, who wires them next. The epoch until now."""
        return self._started.hold_recovery()

    def wire(self, epoch: int, stages: tuple[StageEndpoint, ...]) -> None:
        """Connect to the stages of a new epoch and accept requests again."""
        self._started.wire(epoch, stages)

    def first_token(self, timeout_s: float) -> None:
        """Send one token through all stages. StageLostError or ClusterError if none comes back."""
        self._started.first_token(timeout_s)

    def stop(self) -> None:
        if self._service is not None:
            self._service.stop()

    def _port(self, former: str) -> int:
        """The one that is asked for; else the former one, unless somebody else has it by now."""
        if self._spec.port or not former:
            return self._spec.port
        deadline_s = time.monotonic() + FORMER_S
        while True:
            try:
                check_port_free(host_of(former), port_of(former))
                return port_of(former)
            except UsageError:
                if time.monotonic() > deadline_s:
                    return 0
            time.sleep(0.02)

    @property
    def _started(self) -> CoordinatorService | ProgramService:
        assert self._service is not None, "start comes first"
        return self._service


def _service_of(spec: AnySpec, home: Home, clients: Listener) -> CoordinatorService | ProgramService:
    keys = keys_of(home).meeting(spec.local_sockets)
    if not isinstance(spec, ProgramSpec):
        journal = Journal(home.journal_file, journal_identity(spec)) if spec.keeps_requests else None
        return CoordinatorService(spec, keys, clients, journal)
    from cluster.coordinator.programs.service import ProgramService  # all operations of ggml take a while to import

    return ProgramService(spec, keys, clients)
