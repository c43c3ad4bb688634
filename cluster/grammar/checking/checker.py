"""Asking for a grammar to be compiled, by a process that is started anew when one was too much for it."""

from __future__ import annotations

import atexit
import functools
import hashlib
import threading
from collections import OrderedDict

from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.grammar.checking.question import ECHO, Form, compiled_of, question
from cluster.grammar.grammar import Grammar, check_size
from cluster.node.child import Child

START_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 20.0  # its second of CPU time, on a machine that has others to serve
WAIT_TIMEOUT_S = 30.0  # for those who came before
MAX_KEPT = 64  # results, of 256 KiB at most


class GrammarChecker:
    """One process, started when it is first needed. For any thread. Close it."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._turn = threading.Lock()  # who has it may ask the child
        self._kept: OrderedDict[bytes, Grammar | UsageError] = OrderedDict()
        self._kept_lock = threading.Lock()

    def compile(self, form: Form, text: str) -> Grammar:
        """The grammar, with what it does not enforce. Blocks.

        UsageError if it does not compile, or takes too much time or memory. CapacityError if others have to be
        compiled first, for too long.
        """
        check_size(text)
        key = hashlib.sha256(f"{form}\0{text}".encode()).digest()
        found = self._known(key)
        if found is None:
            found = self._asked(form, text)
            self._keep(key, found)
        if isinstance(found, UsageError):
            raise UsageError(str(found))
        return found

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._end_child()

    def _asked(self, form: Form, text: str) -> Grammar | UsageError:
        if not self._turn.acquire(timeout=WAIT_TIMEOUT_S):
            raise CapacityError("grammar: too many are being compiled; try again later")
        try:
            child = self._ready_child()
            try:
                return compiled_of(child.ask(question(form, text), ANSWER_TIMEOUT_S))
            except ClusterError:  # it was ended by its limits, or does not answer
                self._end_child()
                return UsageError("grammar: compiling it takes too much time or memory; make it smaller")
        finally:
            self._turn.release()

    def _ready_child(self) -> Child:
        """One that answers: what ended the last one while it had nothing to do is no fault of the next grammar."""
        if self._child is not None:
            try:
                self._child.ask(ECHO, ANSWER_TIMEOUT_S)
                return self._child
            except ClusterError:
                self._end_child()
        self._child = _started()
        return self._child

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _known(self, key: bytes) -> Grammar | UsageError | None:
        with self._kept_lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: bytes, found: Grammar | UsageError) -> None:
        with self._kept_lock:
            self._kept[key] = found
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)


@functools.cache
def shared_checker() -> GrammarChecker:
    """This process's own; it is closed when that ends."""
    checker = GrammarChecker()
    atexit.register(checker.close)
    return checker


def _started() -> Child:
    child = Child("cluster.grammar.checking.child")
    try:
        child.ask(ECHO, START_TIMEOUT_S)
    except BaseException:
        child.close()
        raise
    return child
