"""The process that runs templates, as seen by the one that asks: started when it is needed, and again when it died."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cluster.api.errors import CapacityError, ClusterError, UsageError
from cluster.chat.templates.render_child import CPU_S, MAX_MEMORY_BYTES
from cluster.node.child import Child

Answer = TypeVar("Answer")

START_TIMEOUT_S = 60.0
# A process that others leave no CPU time is waited for; one that is stopped is not, not for ever.
WALL_S = 20.0
TURN_TIMEOUT_S = 30.0
# numpy is not needed there, and its threads would take much of the memory that the process may have.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Output:
    """What a template wrote."""

    text: str
    tail: str  # the end of it that is there because an answer comes next


class Renderer:
    """Runs some templates, one at a time; threads may share it. Close it."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = sources
        self._failures = [""] * len(sources)
        self._numbers: dict[int, int] = {}  # of those that the process has compiled
        self._turn = threading.Lock()
        self._child: Child | None = None
        self._is_closed = False

    def failure(self, template: int) -> str:
        """Why a template cannot be used at all; empty if it can."""
        with self._in_turn():
            _twice(lambda: self._compiled(template))
            return self._failures[template]

    def render(self, template: int, variables: Mapping[str, Any]) -> Output:
        """UsageError if the template refuses the variables, fails on them, or takes too much; CapacityError if very
        many ask. Blocks for as long as those before it take, and 2 s of CPU time at most."""
        with self._in_turn():
            answer = _twice(lambda: self._rendered(template, variables))
        for word in ("refused", "failed", "exceeded"):
            if word in answer:
                raise UsageError(_refusal(word, answer[word]))
        return Output(answer["text"], answer["tail"])

    def close(self) -> None:
        """End the process. Nothing can be asked any more."""
        with self._turn:
            self._is_closed = True
            self._end()

    def _rendered(self, template: int, variables: Mapping[str, Any]) -> dict[str, Any]:
        number = self._compiled(template)
        if number is None:
            raise UsageError(unusable(self._failures[template]))
        return self._ask({"template": number, "variables": variables})

    def _in_turn(self) -> _Turn:
        return _Turn(self._turn)

    def _compiled(self, template: int) -> int | None:
        """The process's number of a template; None if it cannot be compiled."""
        if self._failures[template]:
            return None
        if self._child is not None and self._child.exit_code is not None:
            self._end()  # it was killed while nobody asked
        if self._child is None or template not in self._numbers:
            answer = self._ask({"compile": self._sources[template]})
            if "template" not in answer:
                self._failures[template] = next(iter(answer.values()))
                return None
            self._numbers[template] = answer["template"]
        return self._numbers[template]

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer; "exceeded" where the process died of the question."""
        child = self._started()
        try:
            found = child.ask(question, WALL_S)
        except ClusterError as error:
            code = child.exit_code
            self._end()
            if code == -signal.SIGKILL:  # not of the template's doing
                said = "the process that renders templates was killed, maybe for lack of memory; ask again"
                raise _KilledError(f"messages: {said}") from error
            if code is None or code == -signal.SIGPROF:
                return {"exceeded": f"it takes more than {CPU_S:.0f} s"}
            return {"exceeded": f"it takes more than {MAX_MEMORY_BYTES >> 20} MiB, or breaks the interpreter: {error}"}
        except BaseException:
            self._end()  # its answer would be taken for that of the next question
            raise
        if "exceeded" in found:
            self._end()
        return found

    def _started(self) -> Child:
        if self._is_closed:
            raise ClusterError("templates: they are closed")
        if self._child is None:
            child = Child("cluster.chat.templates.render_child", environment=ENVIRONMENT)
            try:
                child.read(START_TIMEOUT_S)
            except BaseException:
                child.close()
                raise
            self._child = child
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        self._numbers.clear()
        if child is not None:
            child.close()


class _KilledError(CapacityError):
    """Somebody else ended the process."""


def _twice(ask: Callable[[], Answer]) -> Answer:
    """What `ask` gives; once more where the process was killed meanwhile, since rendering changes nothing."""
    try:
        return ask()
    except _KilledError:
        return ask()


class _Turn:
    """A lock that is not waited for without end."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=TURN_TIMEOUT_S):
            raise CapacityError("messages: very many wait for the chat template; ask again later")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def unusable(why: str) -> str:
    """The error of every chat with a model whose template is of no use."""
    return (
        f"messages: this model's chat template cannot be used: {why}; give another one (--chat-template), "
        "or ask for completions"
    )


def _refusal(word: str, why: str) -> str:
    what = "refuses" if word == "refused" else "cannot render"
    return f"messages: the model's chat template {what} them: {why}; change them, or give another template"
