"""ModelDrafter: guesses of a small model, which computes them in a process of its own."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from collections.abc import Sequence as Items
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from cluster.api.errors import ClusterError
from cluster.coordinator.drafting.follower import Told
from cluster.coordinator.drafting.slots import DraftSlots
from cluster.coordinator.drafting.text import GuessedText
from cluster.engine.cost.tuning import (
    FIRST_MODEL_RATE,
    LATE_S,
    MOST_CAUGHT_UP,
    MOST_LATE,
    STEP_MEMORY,
    TEXT_SHARE,
)
from cluster.engine.sequence import Sequence
from cluster.node.child import Child

_log = logging.getLogger(__name__)

CHILD = "cluster.coordinator.drafting.child"
LOAD_TIMEOUT_S = 600.0
ANSWER_TIMEOUT_S = 120.0
END_TIMEOUT_S = 10.0
# In a row, without an answer between: then it has no memory, or there is something that it always dies of.
MOST_DEATHS = 3
PAUSE_S = 0.5  # before it is loaded again, and twice as long after the next death


class _DiedError(ClusterError):
    """The process is gone, or does not answer any more: another one may."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question: whose texts, how long they are, and what the model is told of them."""

    request_ids: tuple[int, ...]
    lengths: tuple[int, ...]
    told: tuple[Told, ...]
    num_guesses: int
    asked_s: float
    late_s: float  # from when on no step waits for it; 0: none does

    @property
    def question(self) -> dict[str, Any]:
        told = [(one.slot, one.num_kept, one.tokens) for one in self.told]
        return {"told": told, "length": self.num_guesses}


class ModelDrafter:
    """Implements `engine.drafting.drafter.RemoteDrafter`. Close it.

    All methods but `state` and `close` are for the engine's thread, and none waits: a thread of its own asks the
    process, and wakes the engine when it has an answer. If the process dies, nothing is guessed until it is loaded
    again; if it always does, or could not be loaded at all, nothing is guessed any more.
    """

    def __init__(
        self,
        name: str,
        vocab_size: int,
        num_slots: int,
        context_length: int,
        options: Callable[[], dict[str, Any]],
        *,
        wake: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`options`: of `worker_native.Slice`, path included; it may take long, and raise ClusterError.

        `name`: of the model, for people. `context_length`: of a slot of the model; longer texts are left alone.
        """
        self._name = name
        self._vocab_size = vocab_size
        self._context_length = context_length
        self._options = options
        self._wake = wake
        self._now = now
        self._slots = DraftSlots(num_slots)
        self._num_slots = num_slots
        self._texts: dict[int, GuessedText] = {}  # by request id
        self._rate = FIRST_MODEL_RATE  # of the texts before
        self._token_s: dict[int, float] = {}  # of a guess behind each of so many texts
        self._pending: _Asked | None = None
        self._questions: SimpleQueue[_Asked | None] = SimpleQueue()
        # None: the process that was asked is gone, and with it what it held of the texts.
        self._answers: SimpleQueue[tuple[_Asked, list[list[int]], float] | None] = SimpleQueue()
        self._num_deaths = 0  # in a row
        self._closing = threading.Event()
        self._is_ready = False
        self._trouble = ""
        self._child: Child | None = None
        self._thread = threading.Thread(target=self._run, name="drafter", daemon=True)

    def start(self) -> None:
        """Load the model, in the background."""
        self._thread.start()

    @property
    def state(self) -> str:
        """What it does, for people; from any thread."""
        if self._trouble:
            return f"off: {self._name} drafts no more: {self._trouble}; cluster down, then cluster up loads it again"
        return self._name if self._is_ready else f"{self._name}, which is being loaded"

    @property
    def pid(self) -> int | None:
        """Of the process; None where there is none."""
        return None if self._child is None else self._child.pid

    def rate(self, sequence: Sequence) -> float:
        text = self._read(sequence)
        self._collect()
        can_guess = self._is_ready and not self._trouble and self._pending is None
        return text.rate if can_guess and sequence.num_tokens < self._context_length else 0.0

    def num_known(self, sequence: Sequence) -> int:
        self._collect()
        text = self._texts.get(sequence.request_id)
        return 0 if text is None else len(text.known(sequence.log))

    def draft(self, sequence: Sequence, max_tokens: int) -> Items[int]:
        self._collect()
        text = self._texts.get(sequence.request_id)
        return () if text is None else text.known(sequence.log)[:max_tokens]

    def ask(self, sequences: Items[Sequence], length: int) -> None:
        self._collect()
        if self._pending is not None or self._trouble or not self._is_ready:
            return
        sequences = sequences[: self._num_slots]
        for one in sequences:
            self._read(one)
        told = tuple(self._slots.tell(one.request_id, one.log) for one in sequences)
        # Who has much to read first, as all of a prompt, is not waited for, and guesses from the next time on.
        is_short = sum(len(one.tokens) for one in told) <= MOST_CAUGHT_UP
        asked_s = self._now()
        late_s = asked_s + MOST_LATE * self.draft_s(len(told), length) + LATE_S if is_short else 0.0
        self._pending = _Asked(
            tuple(one.request_id for one in sequences),
            tuple(one.num_tokens for one in sequences),
            told,
            length if is_short else 0,
            asked_s,
            late_s,
        )
        self._questions.put(self._pending)

    def wait_s(self) -> float:
        self._collect()
        return 0.0 if self._pending is None or self._trouble else max(0.0, self._pending.late_s - self._now())

    def draft_s(self, num_sequences: int, length: int) -> float:
        known = self._token_s.get(num_sequences) or max(self._token_s.values(), default=0.0)
        return known * length

    def forget(self, request_id: int) -> None:
        self._slots.forget(request_id)
        text = self._texts.pop(request_id, None)
        if text is not None:
            self._rate += TEXT_SHARE * (text.rate - self._rate)

    def close(self) -> None:
        """End the process and the thread."""
        self._closing.set()
        self._questions.put(None)
        child = self._child
        if child is not None and child.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)  # it may be computing, and has nothing to write
        if self._thread.is_alive():
            self._thread.join(END_TIMEOUT_S)

    def _read(self, sequence: Sequence) -> GuessedText:
        text = self._texts.get(sequence.request_id)
        if text is None:
            text = self._texts[sequence.request_id] = GuessedText(len(sequence.prompt), self._rate)
        text.read(sequence.log)
        return text

    def _collect(self) -> None:
        """Takes the answer, if there is one."""
        with suppress(Empty):
            answer = self._answers.get_nowait()
            self._pending = None
            if answer is None:
                self._slots = DraftSlots(self._num_slots)
                return
            asked, guesses, took_s = answer
            if not asked.late_s:
                return
            for request_id, begin, guessed in zip(asked.request_ids, asked.lengths, guesses, strict=True):
                if request_id in self._texts:
                    self._texts[request_id].take(begin, guessed)
            number, token_s = len(guesses), took_s / asked.num_guesses
            before_s = self._token_s.get(number, token_s)
            self._token_s[number] = before_s + (1 - STEP_MEMORY) * (token_s - before_s)

    def _run(self) -> None:
        """The thread: loads, and then asks one question after another; begins again where the process died."""
        try:
            while not self._closing.is_set():
                try:
                    self._live()
                except _DiedError as error:
                    self._is_ready = False
                    self._answers.put(None)
                    self._num_deaths += 1
                    if self._num_deaths > MOST_DEATHS:
                        raise
                    if not self._closing.is_set():
                        _log.warning("%s: %s; it is loaded again", self._name, error)
                    self._closing.wait(PAUSE_S * 2 ** (self._num_deaths - 1))
        except ClusterError as error:
            self._trouble = str(error)
        self._wake()

    def _live(self) -> None:
        """One process, until it dies or nothing more is asked."""
        options = self._options()
        if self._closing.is_set():
            return
        self._child = child = Child(CHILD)
        try:
            self._serve(child, options)
        finally:
            child.close()

    def _serve(self, child: Child, options: dict[str, Any]) -> None:
        facts = self._load(child, options)
        if facts["vocab_size"] != self._vocab_size:
            raise ClusterError(f"its {facts['vocab_size']} tokens are not the {self._vocab_size} of the model")
        self._token_s[1] = facts["token_ms"] / 1000
        self._is_ready = True
        while (asked := self._questions.get()) is not None:
            try:
                guesses = child.ask(asked.question, ANSWER_TIMEOUT_S)["guesses"]
            except ClusterError as error:
                raise _DiedError(str(error)) from error
            self._check(asked, guesses)
            self._num_deaths = 0
            self._answers.put((asked, guesses, self._now() - asked.asked_s))
            self._wake()

    def _load(self, child: Child, options: dict[str, Any]) -> dict[str, Any]:
        """What could be loaded once may be again: there may be no memory just now."""
        try:
            return child.ask(options, LOAD_TIMEOUT_S)
        except ClusterError as error:
            if self._num_deaths:
                raise _DiedError(str(error)) from error
            raise

    def _check(self, asked: _Asked, guesses: list[list[int]]) -> None:
        """A stage that is given a token that is none would fail all that it computes."""
        are_tokens = all(0 <= token < self._vocab_size for guessed in guesses for token in guessed)
        if len(guesses) != len(asked.told) or not are_tokens:
            raise ClusterError("what it guesses are no tokens; report a bug")
