"""The loop of a supervisor: look, decide, repair."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from cluster.actors.ray_side.spare import Spare
from cluster.actors.supervising.log import LogProgress
from cluster.actors.supervising.pace import GRACE_S, Choice, Finding, Pace
from cluster.actors.supervising.repairer import Repairer
from cluster.actors.supervising.sight import Sight
from cluster.api.errors import ClusterError
from cluster.node.home import read_home
from cluster.node.processes import start_ticks
from cluster.node.ray_health import trouble_at
from cluster.node.state import ClusterState, read_state, state_path
from cluster.node.state_lock import repair_lock
from cluster.node.supervision import Supervision, write_supervision
from cluster.planning.model_plan import ModelPlan

LOOK_S = 0.2  # between looks; each takes some milliseconds of the two processes
FAILED_S = 5.0  # after a look that failed, which the next one will do, too
SPARE_S = 2.0  # between looks for a process that is started ahead
ANSWER_S = 0.5  # the longest that a look waits for the coordinator
# Ray gives a node up after two and a half minutes, and says then that its stages died. Whatever is cut off for less
# comes back by a new epoch over the same stages, which is far less than loading them elsewhere.
GRACE_OF_SEVERAL_S = 160.0

_log = logging.getLogger(__name__)


class Watch:
    """Watches one cluster in a thread of its own, and repairs it."""

    def __init__(self, instance: str, namespace: str) -> None:
        self._instance = instance
        self._repairer = Repairer(LogProgress())
        self._sight = Sight(namespace, self._num_stages)
        self._pace = Pace()
        self._spare = Spare(instance)
        self._spare_s = 0.0  # when it was looked for
        self._told = ""  # of what keeps us from repairing
        self._renewed: list[ModelPlan | None] = []  # what `begin` brought, for the thread to take
        self._thread: threading.Thread | None = None

    def begin(self, plan: ModelPlan | None) -> None:
        """Somebody has brought the cluster up, by this plan, if it is known: from now on it is watched, as if anew."""
        self._renewed.append(plan)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                self._take_renewed()
                self._look()
            except Exception:  # whatever it meets, this thread goes on: nobody else repairs
                _log.exception("a look at the cluster failed")
                time.sleep(FAILED_S)
            time.sleep(LOOK_S)

    def _take_renewed(self) -> None:
        while self._renewed:
            plan = self._renewed.pop(0)
            state = self._state()
            if state is None:
                return
            several = read_home(state_path().parent).record is not None
            self._pace = Pace(GRACE_OF_SEVERAL_S if several else GRACE_S)
            self._sight.forget()
            self._record(state)
            self._repairer.plan = plan or self._repairer.plan
            try:
                self._repairer.prepare(state)
            except ClusterError as error:
                _log.warning("no plan for repairs yet: %s", error)

    def _look(self) -> None:
        finding = self._sight.look(ANSWER_S)
        was_given_up = self._pace.given_up
        choice = self._pace.look(finding, time.monotonic())
        if choice is Choice.REPAIR:
            self._repair(self._sight.reason)
        elif self._pace.given_up != was_given_up:
            self._tell_given_up()
        elif finding is Finding.WELL:
            self._keep_spare()

    def _keep_spare(self) -> None:
        """Where Ray is our own; in one of somebody else it is not for us to leave processes around."""
        now_s = time.monotonic()
        if now_s >= self._spare_s + SPARE_S:
            self._spare_s = now_s
            state = self._state()
            if state is not None and state.owns_ray:
                self._spare.keep()

    def _repair(self, reason: str) -> None:
        with repair_lock() as is_ours:
            state = self._state() if is_ours else None  # who holds the lock brings it up, or takes it down
            if state is None or not state.ready or self._is_kept_from_it(state):
                return
            ends_coordinator = self._sight.is_hung
            if ends_coordinator and not self._sight.confirms_hung():
                return
            began_s = time.monotonic()
            _log.warning("repairing: %s", reason)
            try:
                self._repairer.repair(state, ends_coordinator=ends_coordinator)
                _log.warning("repaired within %.1f s", time.monotonic() - began_s)
            except ClusterError as error:
                reason = str(error)
                _log.warning("not repaired: %s", error)
            finally:
                self._sight.forget()
                self._spare.used()
                self._pace.tried(reason, time.monotonic())

    def _is_kept_from_it(self, state: ClusterState) -> bool:
        """Whether the Ray that it lives in cannot be asked for anything; told once."""
        trouble = trouble_at(state.ray_address, state.ray_processes) or ""
        if trouble and trouble != self._told:
            _log.warning("nothing can be repaired: %s; run cluster up", trouble)
        self._told = trouble
        return bool(trouble)

    def _tell_given_up(self) -> None:
        state = self._state()
        if state is None:
            return
        if self._pace.given_up:
            _log.warning("%s", self._pace.given_up)
        self._sight.tell(self._pace.given_up)
        self._record(state)

    def _record(self, state: ClusterState) -> None:
        found = Supervision(os.getpid(), start_ticks(os.getpid()) or 0, self._pace.given_up)
        write_supervision(Path(state.run_folder), found)

    def _num_stages(self) -> int:
        state = self._state()
        return len(state.bounds) - 1 if state is not None else 0

    def _state(self) -> ClusterState | None:
        """Of the cluster that is watched; None once another one is remembered, or none."""
        state = read_state()
        return state if state is not None and state.instance == self._instance else None
