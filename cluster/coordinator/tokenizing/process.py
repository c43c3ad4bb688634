"""The tokenizer's process, as seen by the one that starts it."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from cluster.api.errors import ClusterError, UsageError
from cluster.coordinator.tokenizing.lane import Lane
from cluster.coordinator.tokenizing.token_table import TokenTable
from cluster.node.child import Child

LOAD_TIMEOUT_S = 120.0
# Each lane takes longer texts than the one before it; the long ones get what the stages and the short texts leave.
NICENESS = (0, 5, 10)
# Threads that numpy would start in the child are of no use there, and it could not fork beside them.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class TokenizerProcess:
    """A process that has loaded the vocabulary of a GGUF. Close it; it also ends when this process does."""

    def __init__(self, path: Path, name: str) -> None:
        """Start it, and wait until it has loaded the file at `path`. UsageError says of `name` why that cannot be."""
        self.lanes = tuple(Lane() for _ in NICENESS)
        table = os.memfd_create("ggml-cluster-vocabulary")
        ends = [lane.child_end for lane in self.lanes]
        lanes = [f"{end.socket},{end.memory},{niceness}" for end, niceness in zip(ends, NICENESS, strict=True)]
        files = [table, *(file for end in ends for file in (end.socket, end.memory))]
        try:
            self._child = Child(
                "cluster.coordinator.tokenizing.vocabulary_child",
                str(path),
                str(table),
                *lanes,
                pass_files=files,
                environment=ENVIRONMENT,
            )
            for lane in self.lanes:
                lane.started()
            self.table = _read_table(self._child.read(LOAD_TIMEOUT_S), table)
        except ClusterError as error:
            self.close()
            reason = str(error).removeprefix("tokenizer: ")
            raise UsageError(f"{name}: its tokenizer cannot be used: {reason}") from error
        finally:
            os.close(table)

    @property
    def pid(self) -> int:
        return self._child.pid

    def close(self) -> None:
        """End it, its workers with it, and wait until it is gone."""
        for lane in self.lanes:
            lane.close()
        self._child.close()


def _read_table(facts: dict[str, Any], file: int) -> TokenTable:
    num_tokens = facts.pop("num_tokens")
    pieces, end = _read_texts(file, num_tokens, 0)
    names, end = _read_texts(file, num_tokens, end)
    return TokenTable(
        pieces,
        names={token: name for token, name in enumerate(names) if name},
        kinds=os.pread(file, num_tokens, end),
        end_tokens=frozenset(facts.pop("end_tokens")),
        **facts,
    )


def _read_texts(file: int, num_texts: int, begin: int) -> tuple[tuple[bytes, ...], int]:
    """Texts that begin with their lengths, and where they end."""
    start = begin + 4 * num_texts
    lengths = np.frombuffer(os.pread(file, start - begin, begin), np.int32)
    ends = np.cumsum(np.concatenate(([0], lengths)), dtype=np.int64).tolist()
    blob = os.pread(file, ends[-1], start)
    return tuple(blob[first:end] for first, end in pairwise(ends)), start + ends[-1]
