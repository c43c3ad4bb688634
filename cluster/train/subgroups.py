"""Groups of some of the ranks, as torch.distributed's."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cluster.api.errors import UsageError
from cluster.train import collectives
from cluster.train.default_group import the_group
from cluster.train.process_group import GroupMember, ProcessGroup

# What a rank tells of the group that it is about to enter: which one, and where it listens.
_DIGEST_BYTES, _ADDRESS_BYTES = 32, 512


def new_group(ranks: Sequence[int] | None = None) -> Any:
    """The group of ``ranks``, in ascending order; None are all. Every rank calls it, also those that are not in it,
    which get ``GroupMember.NON_GROUP_MEMBER``.

    It has streams of its own: what its ranks exchange does not meet what others do. UsageError for a rank twice or
    one that is none, and where ranks ask for different groups.
    """
    whole = the_group("new_group")
    chosen = _checked(whole, ranks)
    group = whole.part(chosen) if whole.rank in chosen else None
    try:
        addresses = _told(whole, chosen, "" if group is None else group.address)
        if group is None:
            return GroupMember.NON_GROUP_MEMBER
        whole.join_part(group, [addresses[rank] for rank in chosen])
    except BaseException:
        if group is not None:
            group.close()
        raise
    return group


def get_process_group_ranks(group: Any = None) -> list[int]:
    """The ranks of a group, among all, in the order of their ranks in it. UsageError."""
    return list(the_group("get_process_group_ranks", group).ranks)


def get_group_rank(group: Any, global_rank: int) -> int:
    """The rank in ``group`` of one among all. UsageError if it is not in it."""
    return group_rank(the_group("get_group_rank", group), "get_group_rank:", global_rank)


def get_global_rank(group: Any, group_rank: int) -> int:
    """The rank among all of one in ``group``. UsageError if there is none."""
    found = the_group("get_global_rank", group)
    if not 0 <= group_rank < found.world_size:
        raise UsageError(f"get_global_rank: {group_rank} is no rank of a group of {found.world_size}")
    return found.ranks[group_rank]


def group_rank(group: ProcessGroup, what: str, global_rank: int) -> int:
    """The rank in `group` of one among all. UsageError if it is not in it."""
    if global_rank not in group.ranks:
        of = (
            f"a group of {group.world_size}"
            if group.ranks == tuple(range(group.world_size))
            else f"the group of {list(group.ranks)}"
        )
        raise UsageError(f"{what} {global_rank} is no rank of {of}")
    return group.ranks.index(global_rank)


def _checked(whole: ProcessGroup, ranks: Sequence[int] | None) -> list[int]:
    chosen = list(range(whole.world_size)) if ranks is None else sorted(ranks)
    if not chosen or len(set(chosen)) != len(chosen):
        raise UsageError(f"new_group: ranks {chosen} must be at least one, and each once")
    wrong = [one for one in chosen if type(one) is not int or not 0 <= one < whole.world_size]
    if wrong:
        raise UsageError(f"new_group: {wrong[0]!r} is no rank of a group of {whole.world_size}")
    return chosen


def _told(whole: ProcessGroup, chosen: list[int], address: str) -> list[str]:
    """Where all ranks listen for it; empty for those that are not in it."""
    if whole.world_size == 1:
        return [address]
    raw = address.encode()
    assert len(raw) < _ADDRESS_BYTES, "a name of a host has 255 characters at most"
    mine = np.zeros(_DIGEST_BYTES + _ADDRESS_BYTES, np.uint8)
    mine[:_DIGEST_BYTES] = np.frombuffer(hashlib.sha256(repr(chosen).encode()).digest(), np.uint8)
    mine[_DIGEST_BYTES : _DIGEST_BYTES + len(raw)] = np.frombuffer(raw, np.uint8)
    found = collectives.all_gather(whole, mine)
    for rank, one in enumerate(found):
        if not np.array_equal(one[:_DIGEST_BYTES], mine[:_DIGEST_BYTES]):
            raise UsageError(f"new_group: rank {rank} asks for other ranks than {chosen}; all must ask for the same")
    return [one[_DIGEST_BYTES:].tobytes().rstrip(b"\0").decode("ascii", "replace") for one in found]
