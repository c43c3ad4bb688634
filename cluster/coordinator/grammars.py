"""Grammars at the door: no request with a bad one is queued, nor more of them than there is room for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from cluster.api.errors import CapacityError
from cluster.api.sampling import SamplingParams
from cluster.engine.events import Output, Sink, is_last
from cluster.grammar.checking.checker import GrammarChecker
from cluster.grammar.checking.question import Form

# Of all requests that run and wait, which are held in memory.
MAX_BYTES = 8 << 20
# The latest are known to be ready. A stage keeps more; a new one, which has none, compiles them once more.
MAX_READY = 8


class Grammars:
    """For any thread."""

    def __init__(self, compile_at_stage: Callable[[str], None]) -> None:
        """`compile_at_stage` has the last stage compile one, as `WiredStages.compile`."""
        self._checker = GrammarChecker()
        self._compile_at_stage = compile_at_stage
        self._lock = threading.Lock()
        self._num_bytes = 0
        self._ready: OrderedDict[str, None] = OrderedDict()

    def check(self, grammar: str) -> None:
        """UsageError if it cannot be used. It is compiled here first, where one that takes for ever is ended.

        Of an empty one the last stage has the texts of tokens ready.
        """
        with self._lock:
            is_ready = grammar in self._ready
        if not is_ready:
            if grammar:
                self._checker.compile(Form.GRAMMAR, grammar)
            self._compile_at_stage(grammar)
        with self._lock:
            self._ready[grammar] = None
            self._ready.move_to_end(grammar)
            if len(self._ready) > MAX_READY:
                self._ready.popitem(last=False)

    def admit(self, params: SamplingParams, sink: Sink) -> Sink:
        """Where the request is answered, if its grammar has room until then. CapacityError if it has not."""
        num_bytes = len(params.grammar.encode())
        if not num_bytes:
            return sink
        with self._lock:
            if self._num_bytes + num_bytes > MAX_BYTES:
                raise CapacityError("grammar: too many large ones are in use; give a smaller one, or try again later")
            self._num_bytes += num_bytes

        def answer(output: Output) -> None:
            if is_last(output):
                with self._lock:
                    self._num_bytes -= num_bytes
            sink(output)

        return answer

    def close(self) -> None:
        self._checker.close()
