"""The stage actor: a thin shell around `StageService`. Left undecorated, so that it runs without Ray too."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from cluster.messages.stage import Wiring
from cluster.node.dated_log import date_log
from cluster.node.home import read_home
from cluster.stage.cores import bound_cores, prepare_process
from cluster.stage.service import StageService
from cluster.stage.spec import LoadProgress, StageSpec
from cluster.wire.access.keys import keys_of

STUCK_EXIT = 70
TOLD_S = 1.0  # for the coordinator to hear why, before the process is gone

_log = logging.getLogger(__name__)


def _end_process() -> None:
    """Whoever repairs the cluster starts a new one. An orderly end would wait for the thread that hangs."""
    _log.error("a step does not end: this process does, for a new one to take its place")
    time.sleep(TOLD_S)
    os._exit(STUCK_EXIT)


class StageWorker:
    """One stage in its own process. Methods return at once; loading happens in a thread."""

    def __init__(self, spec: StageSpec, home: str) -> None:
        """`home`: the folder of this node that says who it is, and holds the cluster's secret."""
        date_log()
        prepare_process()
        self._spec = spec
        keys = keys_of(read_home(Path(home))).meeting(spec.local_sockets)
        with bound_cores(spec.first_core) as core:
            from cluster.stage.loading import load_stage  # loads libggml

            load = partial(load_stage, keys=keys)
            self._service = StageService(spec, load, keys.for_stages, core, give_up=_end_process)

    def pid(self) -> int:
        return os.getpid()

    def fits(self, spec: StageSpec) -> bool:
        """Whether it is the stage that a plan wants, so that it may keep its weights. Sources may differ in peers."""
        return replace(spec, source=self._spec.source) == self._spec

    def load(self, last_words: str = "") -> None:
        """Start cutting and loading, unless that has begun; watch `progress`.

        `last_words`: a file for what is said last if this process dies, where its folder is on this machine.
        """
        if last_words:
            from worker_native import keep_last_words

            with contextlib.suppress(RuntimeError):
                keep_last_words(last_words)
        self._service.start_loading()

    def progress(self) -> LoadProgress:
        return self._service.progress()

    def epoch(self) -> int:
        """The newest epoch this stage was wired for; 0 before the first."""
        return self._service.wired_epoch

    def wire(self, wiring: Wiring) -> str:
        """Begin an epoch: forget all sequences, listen, connect to the next stage (and to the last). Our address."""
        return self._service.wire(wiring)

    def stop(self) -> None:
        self._service.stop()
