"""Which worker this process is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """``id`` counts from 0 to ``num_workers - 1``; ``seed`` is that of this worker; ``dataset`` is its own copy."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_this: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """What worker of a ``DataLoader`` this process is; None in a process that is none."""
    return _this


def set_worker_info(info: WorkerInfo) -> None:
    global _this
    _this = info
