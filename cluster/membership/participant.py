"""A node that takes part: it registers with its head, runs its Ray, and comes back after whatever cut it off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from cluster.api.errors import ClusterError, HandshakeError, UnauthenticatedError, UsageError
from cluster.membership.returning import members_of, register, renew_if_due
from cluster.membership.serving import Attendant
from cluster.messages.membership import Grant
from cluster.node.home import Home, read_home

CONFIRM_S = 60.0
CHECK_S = 0.1
WATCH_S = 1.0
REGISTER_S = 10.0  # between two looks at whether the head still runs the same cluster
PAUSE_S = 1.0  # before the first new attempt
MAX_PAUSE_S = 2.0
# A head that is just going down can look like one that does not believe us: only this many in a row count.
MAX_REFUSALS = 3
RETURN = "the cluster starts anew"  # of all reasons to end, the one after which a node comes back

_FINAL = (UnauthenticatedError, UsageError, HandshakeError)  # the head has answered: the same would come again

Say = Callable[[str], None]


class NodeRay(Protocol):
    """The Ray of this node."""

    def start(self, home: Home, grant: Grant) -> None:
        """Start it for the cluster that runs now. ClusterError with the reason; nothing of it is left then."""

    def joined(self, summary: str) -> None:
        """The head has found the node to be of use."""

    def trouble(self) -> str | None:
        """Why it does not work any more; None while it does."""

    def end(self) -> None:
        """End all processes of the cluster on this node, and remove what they wrote. It may be repeated."""


class Participant:
    """Keeps the machine whose home is `folder` in its cluster, until it is told to end."""

    def __init__(self, folder: Path, ray: NodeRay, say: Say) -> None:
        """`say` is for people: each piece of news once."""
        self._folder = folder
        self._ray = ray
        self._say = say
        self._said = ""
        self._ended = threading.Event()
        self._reason = ""
        self._running = "nothing yet"
        self._grant: Grant | None = None  # the newest

    def end(self, reason: str) -> None:
        """Begin to end it, from any thread."""
        self._reason = "" if reason == RETURN else reason
        self._ended.set()

    def run(self, *, is_patient: bool) -> str:
        """Take part; returns the reason why that ended.

        `is_patient`: a head that cannot be reached is waited for from the start; otherwise, once it was there.
        ClusterError where this machine is no node, or none any more, and where patience would be of no use.
        """
        pause_s, num_refusals = PAUSE_S, 0
        while True:
            try:
                self._take_part()
                is_patient, pause_s, num_refusals = True, PAUSE_S, 0
            except _FINAL as error:
                num_refusals += 1
                if not is_patient or num_refusals == MAX_REFUSALS:
                    raise
                self._say_once(f"{error}; asking again")
            except ClusterError as error:
                if not is_patient and not self._has_head_begun_anew():
                    raise
                num_refusals = 0
                self._say_once(f"{error}; trying again")
            if self._ended.wait(pause_s) and self._reason:
                return self._reason
            self._ended.clear()
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _take_part(self) -> None:
        """From registering until this node's Ray ends, the head runs another cluster, or somebody ends it."""
        home = renew_if_due(read_home(self._folder))
        with self._attended(home):
            grant = self._grant = register(home)
            try:
                self._ray.start(home, grant)
                summary = self._confirmed(home)
                if summary is None:
                    return
                self._running = summary
                self._ray.joined(summary)
                self._say_once(f"joined: {summary}")
                self._watch(home, grant)
            finally:
                self._running = "nothing"
                self._ray.end()

    def _has_head_begun_anew(self) -> bool:
        """Whether the cluster that this node was about to take part in is over, and there is another one."""
        if self._grant is None:
            return False
        try:
            return register(read_home(self._folder)).instance != self._grant.instance
        except ClusterError:
            return False

    @contextmanager
    def _attended(self, home: Home) -> Iterator[None]:
        """The head can reach this node in the block."""
        attendant = Attendant(home, self.end, lambda: self._running)
        attendant.start()
        try:
            yield
        finally:
            attendant.stop()

    def _confirmed(self, home: Home) -> str | None:
        """What the head says of this node once it is of use; None where this is to end before. ClusterError."""
        with members_of(home) as members, ThreadPoolExecutor(1) as waiting:
            answer = waiting.submit(members.confirm, CONFIRM_S)
            while not answer.done():
                if self._ended.wait(CHECK_S):
                    members.close()  # the call ends with it
                    return None
            return answer.result().summary

    def _watch(self, home: Home, grant: Grant) -> None:
        """Returns when there is a reason to begin anew, or to end."""
        looked_s = time.monotonic()
        while not self._ended.wait(WATCH_S):
            trouble = self._ray.trouble()
            if trouble is not None:
                self._say_once(f"{trouble}; coming back")
                return
            if time.monotonic() - looked_s > REGISTER_S:
                looked_s = time.monotonic()
                if self._is_another(home, grant):
                    self._say_once("the head runs another cluster; coming back")
                    return

    def _is_another(self, home: Home, grant: Grant) -> bool:
        """Whether the head has started anew. One that cannot be reached has not, as far as one knows."""
        num_refusals = 0
        while True:
            try:
                return register(home).instance != grant.instance
            except _FINAL:
                num_refusals += 1
                if num_refusals == MAX_REFUSALS:
                    raise
                if self._ended.wait(WATCH_S):
                    return False  # whoever ends this node is the one to be heard
            except ClusterError:
                return False

    def _say_once(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(text)
