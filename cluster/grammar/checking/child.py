"""The process that compiles grammars first: python -m cluster.grammar.checking.child

It answers lines of JSON, one after the other, and ends when its stdin does: with its parent, but not with that
thread of it by which it was started, as it would by PR_SET_PDEATHSIG. The system ends it when one takes too much
CPU time, or memory: llguidance has no bound of its own for either.
"""

from __future__ import annotations

import json
import mmap
import resource
import signal
import sys
import threading
from collections.abc import Iterable

from cluster.api.errors import UsageError
from cluster.grammar.checking.compiling import compiled
from cluster.grammar.checking.question import ECHO, Form, answer_of
from cluster.node.child import answer

COMPILE_CPU_S = 1.0  # 24 tools take 9 ms, 400 values in 20 enumerations 155 ms
MAX_GROWTH_BYTES = 512 << 20
# Less than the thread has that compiles it in a stage, so that no grammar is too deep there that was not so here.
STACK_BYTES = 2 << 20


def serve(lines: Iterable[str]) -> None:
    """Answer each line."""
    for line in lines:
        asked = json.loads(line)
        if asked == ECHO:
            answer(ECHO)
            continue
        signal.setitimer(signal.ITIMER_PROF, COMPILE_CPU_S)  # at its end the system ends this process
        try:
            found = answer_of(compiled(Form(asked["form"]), asked["text"]))
        except UsageError as error:
            found = answer_of(error)
        signal.setitimer(signal.ITIMER_PROF, 0)
        answer(found)


def _limit_process() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open("/proc/self/statm", encoding="ascii") as file:
        now_bytes = int(file.read().split()[0]) * mmap.PAGESIZE
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most_bytes = now_bytes + MAX_GROWTH_BYTES
    if soft == resource.RLIM_INFINITY or soft > most_bytes:  # else the operator allows less
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, hard))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started us
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _limit_process()
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=serve, args=(sys.stdin,), name="compile")
    thread.start()
    thread.join()


if __name__ == "__main__":
    main()
