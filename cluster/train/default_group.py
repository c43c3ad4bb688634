"""The group of all ranks that this process belongs to, and which group a call means."""

from __future__ import annotations

import warnings
from typing import Any

from cluster.api.errors import UsageError
from cluster.train.process_group import GroupMember, ProcessGroup

_waiting: ProcessGroup | None = None  # what the worker has prepared for the script that it runs
_group: ProcessGroup | None = None


def prepare(group: ProcessGroup) -> None:
    """What the next `init_process_group` of this process takes: called by the worker before it runs a script."""
    global _waiting
    _waiting = group


def init_process_group(backend: str | None = None) -> None:
    """Enter the group that ``cluster train`` has made; without it, one of this process alone. UsageError if in one.

    ``backend`` is for scripts that name one, such as "gloo": there is one way only.
    """
    global _group
    if _group is not None:
        raise UsageError("init_process_group: this process is in a group already; call destroy_process_group first")
    _group = _waiting or ProcessGroup(0, 1, None)


def destroy_process_group(group: Any = None) -> None:
    """Leave a group that `new_group` made; without one that of all, and all others with it. UsageError without one."""
    global _group
    whole = the_group("destroy_process_group")
    chosen = the_group("destroy_process_group", group)
    if chosen is whole:
        whole.close_parts()
        _group = None
    else:
        chosen.close()


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return _group is not None


def get_rank(group: Any = None) -> int:
    """Of this process in a group: 0 to `get_world_size` - 1; -1 if it is not in it. UsageError without one."""
    whole = the_group("get_rank")
    return -1 if is_outside(group) else the_group("get_rank", group or whole).rank


def get_world_size(group: Any = None) -> int:
    """How many processes are in a group; -1 if this one is not in it. UsageError without one."""
    whole = the_group("get_world_size")
    return -1 if is_outside(group) else the_group("get_world_size", group or whole).world_size


def is_outside(group: Any) -> bool:
    """Whether this is what a rank has that is not in the group."""
    return isinstance(group, int) and group == GroupMember.NON_GROUP_MEMBER


def the_group(what: str, group: Any = None) -> ProcessGroup:
    """`group`, or that of all ranks. UsageError without one, and where this rank is not in it."""
    if _group is None:
        raise UsageError(f"{what}: this process is in no group; call init_process_group first")
    if group is None:
        return _group
    if is_outside(group):
        raise UsageError(f"{what}: rank {_group.rank} is not in this group; call it on the ranks that are")
    if not isinstance(group, ProcessGroup):
        raise UsageError(f"{what}: {type(group).__name__} is no group; give what new_group returns")
    if group.is_closed:
        raise UsageError(f"{what}: this group was destroyed")
    return group


def own_group(what: str, group: Any) -> ProcessGroup | None:
    """The same; None where this rank is not in it, with torch's warning, since such calls do nothing."""
    whole = the_group(what)
    if is_outside(group):
        warnings.warn(
            f"Running {what} on global rank {whole.rank} which does not belong to the given group.", stacklevel=3
        )
        return None
    return the_group(what, group)
