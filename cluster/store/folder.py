"""Where slices are kept on a node, and what that takes."""

from __future__ import annotations

import os
from pathlib import Path

from cluster.node.xdg import cache_folder


def default_root() -> Path:
    """The cache folder for slices."""
    return cache_folder("slices")


def disk_bytes(path: Path) -> int:
    """What a file takes on disk, less than its size where it has holes; 0 if there is none."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def sync_folder(folder: Path) -> None:
    """Make what appeared in `folder` by rename outlive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
