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
    num_tokens = facts["num_tokens"]
    size_bytes = 4 * (2 * num_tokens + 1)
    longest, *lengths = np.frombuffer(os.pread(file, size_bytes, 0), np.int32).tolist()
    blob = os.pread(file, sum(lengths), size_bytes)
    ends = np.cumsum([0, *lengths]).tolist()
    items = [blob[begin:end] for begin, end in pairwise(ends)]
    names = {token: name for token, name in enumerate(items[num_tokens:]) if name}
    return TokenTable(tuple(items[:num_tokens]), facts["bos"], frozenset(facts["end_tokens"]), longest, names)
