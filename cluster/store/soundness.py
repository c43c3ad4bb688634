"""Whether a stored slice is the one that was written: whose it is, whether it changed, and once a day its digest."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cluster.node.own_files import open_own
from cluster.store.entry import Manifest

VERIFY_EVERY_S = 24 * 3600  # a disk may change what was written to it, without any time of it changing
HASH_BYTES = 8 << 20

Progress = Callable[[float], object]


def hash_open(descriptor: int, progress: Progress | None = None) -> str:
    """SHA-256 (hex) of an open file. `progress` gets 0..1."""
    digest, done = hashlib.sha256(), 0
    size_bytes = os.fstat(descriptor).st_size
    while chunk := os.pread(descriptor, HASH_BYTES, done):
        digest.update(chunk)
        done += len(chunk)
        if progress is not None:
            progress(min(1.0, done / size_bytes))
    return digest.hexdigest()


def is_recent(path: Path, manifest: Manifest) -> bool | None:
    """Whether the slice at `path` is as `manifest` says, as far as times tell: None where only its bytes can tell.

    False where it is not there, not ours alone, or of another size.
    """
    descriptor = open_own(path)
    if descriptor is None:
        return False
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if status.st_size != manifest.size_bytes:
        return False
    is_same = (status.st_mtime_ns, status.st_ctime_ns) == (manifest.mtime_ns, manifest.ctime_ns)
    is_verified = 0 <= time.time() - manifest.verified_s < VERIFY_EVERY_S
    return True if is_same and is_verified else None


def verified(path: Path, manifest: Manifest, progress: Progress | None = None) -> Manifest | None:
    """The manifest that says that the bytes at `path` were verified now; None if they are others."""
    descriptor = open_own(path)
    if descriptor is None:
        return None
    try:
        before = os.fstat(descriptor)
        is_sound = before.st_size == manifest.size_bytes and hash_open(descriptor, progress) == manifest.sha256
    finally:
        os.close(descriptor)
    if not is_sound:
        return None
    return replace(manifest, mtime_ns=before.st_mtime_ns, ctime_ns=before.st_ctime_ns, verified_s=int(time.time()))
