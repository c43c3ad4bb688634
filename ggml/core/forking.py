"""Locks of objects that live on in a forked process, where the thread that held a lock does not exist."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class _Holder(Protocol):
    def renew_lock(self) -> None:
        """Put a new lock, which nobody holds, in the place of the old one."""


_holders: weakref.WeakSet[_Holder] = weakref.WeakSet()


def renew_after_fork(holder: _Holder) -> None:
    """Give the holder its lock, and a new one in each process that is forked from this one."""
    holder.renew_lock()
    _holders.add(holder)


_num_forks = 0


def num_forks() -> int:
    """How many forks lie between this process and the one that imported ``ggml``."""
    return _num_forks


def _renew_all() -> None:
    global _num_forks
    _num_forks += 1
    for holder in list(_holders):
        holder.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
