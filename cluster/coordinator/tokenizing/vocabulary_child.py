"""The tokenizer's process: it loads the vocabulary, and forks a worker for each lane, whenever there is none.

python -m cluster.coordinator.tokenizing.vocabulary_child PATH TABLE SOCKET,MEMORY,NICENESS...

TABLE, SOCKET and MEMORY are numbers of open files. It says on stdout what it found, or an error. To TABLE go the
lengths of all tokens (int32) and their bytes, in the same way the names of those without text, and a byte for what each
token is. It ends when its stdin does. It has one thread, so that it can fork: what a worker needs is there at once,
and shared.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster.coordinator.tokenizing.lane import REPLY, LaneEnd, Outcome
from cluster.coordinator.tokenizing.worker import work
from cluster.node.child import answer
from worker_native import Vocab


class _Place:
    """One lane's worker: forked, watched, forked again."""

    def __init__(self, end: LaneEnd, niceness: int) -> None:
        self._end = end
        self._niceness = niceness
        self._pid = 0

    def fork(self, vocab: Vocab) -> int:
        """Start a worker. Returns a file that becomes readable when it has ended."""
        self._pid = os.fork()
        if not self._pid:
            try:
                work(vocab, self._end, self._niceness)
            except BaseException:
                os._exit(1)
            os._exit(0)
        return os.pidfd_open(self._pid)

    def end(self) -> None:
        """End the worker, and wait until it is gone."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def settle(self) -> bool:
        """The worker has ended: tell the lane what of. False if it ended because the lane has."""
        exit_code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        self._pid = 0
        if exit_code == 0:
            return False
        try:
            os.write(self._end.socket, REPLY.pack(0, Outcome.DIED, exit_code))
        except OSError:  # the coordinator is gone, too
            return False
        return True


def main(path: str, table: int, lanes: Sequence[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started us
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        vocab = Vocab(path)
        vocab.tokenize("")  # numpy is loaded by the first array
        _write_table(vocab, table)
    except (ValueError, RuntimeError, MemoryError) as error:
        answer({"error": str(error)})
        return 1
    places = []
    for lane in lanes:
        connection, memory, niceness = map(int, lane.split(","))
        places.append(_Place(LaneEnd(connection, memory), niceness))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            for place in places:
                selector.register(place.fork(vocab), selectors.EVENT_READ, place)
            answer(_facts(vocab))
            _keep(vocab, selector)
    finally:
        for place in places:
            place.end()
    return 0


def _facts(vocab: Vocab) -> dict[str, Any]:
    return {
        "num_tokens": vocab.num_tokens,
        "bos": vocab.bos,
        "eos": vocab.eos,
        "end_tokens": sorted(vocab.end_tokens),
        "longest_bytes": vocab.longest_token_bytes(),
        "vocab_type": vocab.type,
        "adds_bos": vocab.adds_bos,
    }


def _write_table(vocab: Vocab, table: int) -> None:
    tokens = range(vocab.num_tokens)
    pieces = [vocab.token_bytes(token) for token in tokens]
    names = [b"" if piece else vocab.token_bytes(token, True) for token, piece in enumerate(pieces)]
    with open(table, "wb", closefd=False) as file:
        for texts in (pieces, names):
            file.write(np.array([*map(len, texts)], np.int32).tobytes())
            file.writelines(texts)
        file.write(bytes(map(vocab.token_kind, tokens)))


def _keep(vocab: Vocab, selector: selectors.BaseSelector) -> None:
    """Another worker for each that ends, until stdin does."""
    while True:
        for key, _ in selector.select():
            if key.data is None:
                return
            selector.unregister(key.fd)
            os.close(key.fd)
            if not key.data.settle():
                return
            selector.register(key.data.fork(vocab), selectors.EVENT_READ, key.data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
