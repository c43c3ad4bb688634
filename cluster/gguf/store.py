"""The slice store of a node: slices are cut once, kept under the cache folder, and checked before each use.

A slice is `<key>.gguf` with a manifest `<key>.json` beside it; both appear by rename, complete and synced.
While one is written, its process holds `<key>.lock` and writes to `<key>.*.part`; whoever gets that lock may
delete the parts, because their writer is dead. Files of any other name are never touched.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import CapacityError, UsageError
from cluster.gguf.cut import SlicePlan, cut, vocab_header
from cluster.gguf.entry import Manifest, StoredSlice, read_manifest
from cluster.gguf.fingerprint import model_hash
from cluster.gguf.header import Header
from cluster.gguf.lock import locked
from cluster.gguf.rules import RULES_VERSION
from cluster.gguf.writer import Progress, check_room, hash_file, write_slice

_OWN_FILE = re.compile(r"([0-9a-f]{64})\.(gguf|json|lock|gguf\.part|json\.part)")


def default_root() -> Path:
    """$XDG_CACHE_HOME/ggml-cluster/slices, with ~/.cache where it is unset or relative (as XDG asks)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "ggml-cluster" / "slices"


@dataclass(frozen=True, slots=True)
class _Job:
    """A slice to have: `plan` for the file `source`, whose header and fingerprint were read before."""

    source: str
    header: Header
    fingerprint: str
    plan: SlicePlan

    def key(self) -> str:
        header, plan = self.header, self.plan
        file = (self.fingerprint, header.file_size_bytes, header.mtime_ns)
        return hashlib.sha256(repr((file, plan.first, plan.end, RULES_VERSION)).encode()).hexdigest()

    def manifest(self, path: Path, sha256: str) -> Manifest:
        status = path.stat()
        return Manifest(
            source=self.source,
            model_hash=self.fingerprint,
            first=self.plan.first,
            end=self.plan.end,
            num_layers=self.plan.num_layers,
            is_vocab=self.plan.end == 0,
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            sha256=sha256,
        )


class SliceStore:
    """Slices on this node's disk. Safe to use from several processes and threads at once."""

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self.root = Path(root) if root is not None else default_root()

    def get(
        self,
        source_path: str | os.PathLike[str],
        header: Header,
        first: int,
        end: int,
        progress: Progress | None = None,
    ) -> StoredSlice:
        """A file with layers [first, end): found, or cut now. All of the layers: the source itself, no copy.

        Raises what `cut` raises, ModelFileError if the source changed, CapacityError if the disk is full,
        UsageError if the store's folder cannot be used.
        """
        source = os.path.abspath(source_path)
        if (first, end) == (0, cut(header, first, end).num_layers):
            return _whole(source, header)
        fingerprint = model_hash(source, header)
        return self._get(_Job(source, header, fingerprint, cut(header, first, end, fingerprint)), progress)

    def get_vocab(
        self, source_path: str | os.PathLike[str], header: Header, progress: Progress | None = None
    ) -> StoredSlice:
        """A file with the model's metadata and tokenizer and no weights; errors as for `get`."""
        source = os.path.abspath(source_path)
        job = _Job(source, header, model_hash(source, header), vocab_header(header))
        return self._get(job, progress)

    def list(self) -> tuple[StoredSlice, ...]:
        """All complete slices, the latest used first."""
        found = [self._stored(key, fresh=False) for key in self._keys()]
        return tuple(sorted((entry for entry in found if entry), key=lambda entry: -entry.last_used_s))

    def remove(self, key: str) -> int:
        """Delete one slice; the bytes of disk it took. UsageError if there is none of this key.

        A process that has the slice mapped keeps it until it ends.
        """
        if key not in self._keys():
            raise UsageError(f"slice {key!a}: not in the store {self.root}; run `cluster cache ls`")
        return self._remove(key)

    def remove_all(self) -> int:
        """Delete every slice; the bytes of disk they took."""
        return sum(self._remove(key) for key in self._keys())

    def _remove(self, key: str) -> int:
        with locked(self._path(key, "lock")):
            disk_bytes = sum(_disk_bytes(self._path(key, kind)) for kind in ("gguf", "gguf.part"))
            for kind in ("json", "gguf", "gguf.part", "json.part"):
                self._path(key, kind).unlink(missing_ok=True)
        return disk_bytes

    def _path(self, key: str, kind: str) -> Path:
        return self.root / f"{key}.{kind}"

    def _keys(self) -> tuple[str, ...]:
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return ()
        return tuple(sorted({match[1] for name in names if (match := _OWN_FILE.fullmatch(name))}))

    def _get(self, job: _Job, progress: Progress | None) -> StoredSlice:
        key = job.key()
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.sweep()
            with locked(self._path(key, "lock")):
                found = self._checked(key)
                if found is None:
                    self._write(key, job, progress)
                    found = self._stored(key, fresh=True)
                assert found is not None
        except OSError as error:
            raise self._store_error(error) from error
        if progress is not None:
            progress(1.0)
        return found

    def _checked(self, key: str) -> StoredSlice | None:
        """The slice if it is whole: by size and mtime, or by its hash where those changed."""
        manifest, path = read_manifest(self._path(key, "json")), self._path(key, "gguf")
        if manifest is None or not path.is_file() or path.is_symlink():
            return None
        status = path.stat()
        if status.st_size != manifest.size_bytes:
            return None
        if status.st_mtime_ns != manifest.mtime_ns:
            if hash_file(path) != manifest.sha256:
                return None
            os.utime(path, ns=(status.st_atime_ns, manifest.mtime_ns))
        os.utime(self._path(key, "json"))
        return self._stored(key, fresh=False)

    def _write(self, key: str, job: _Job, progress: Progress | None) -> None:
        plan, part, path = job.plan, self._path(key, "gguf.part"), self._path(key, "gguf")
        self._path(key, "json").unlink(missing_ok=True)
        part.unlink(missing_ok=True)
        check_room(self.root, len(plan.header_bytes) + plan.weight_bytes)
        try:
            sha256 = write_slice(plan, job.source, job.header, part, progress)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        job.manifest(path, sha256).write(self._path(key, "json.part"), self._path(key, "json"))
        _sync_folder(self.root)

    def _stored(self, key: str, fresh: bool) -> StoredSlice | None:
        manifest, path = read_manifest(self._path(key, "json")), self._path(key, "gguf")
        try:
            disk_bytes = path.stat().st_blocks * 512
            last_used_s = self._path(key, "json").stat().st_mtime
        except FileNotFoundError:
            return None
        if manifest is None:
            return None
        return StoredSlice(
            key=key,
            path=path,
            size_bytes=manifest.size_bytes,
            disk_bytes=disk_bytes,
            sha256=manifest.sha256,
            fresh=fresh,
            source=manifest.source,
            first=manifest.first,
            end=manifest.end,
            num_layers=manifest.num_layers,
            is_vocab=manifest.is_vocab,
            last_used_s=last_used_s,
        )

    def sweep(self) -> None:
        """Delete what dead writers left: parts and locks that nobody holds."""
        for name in os.listdir(self.root) if self.root.is_dir() else ():
            match = _OWN_FILE.fullmatch(name)
            if match is None or match[2] not in ("gguf.part", "json.part", "lock"):
                continue
            with locked(self._path(match[1], "lock"), wait=False) as is_ours:
                if is_ours and match[2] != "lock":
                    (self.root / name).unlink(missing_ok=True)

    def _store_error(self, error: OSError) -> CapacityError | UsageError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return CapacityError(f"slice store {self.root}: the disk is full; run `cluster cache rm`")
        reason = error.strerror or str(error)
        return UsageError(f"slice store {self.root}: {reason}; make it writable or set XDG_CACHE_HOME")


def _whole(source: str, header: Header) -> StoredSlice:
    path = Path(source)
    return StoredSlice(
        key="",
        path=path,
        size_bytes=header.file_size_bytes,
        disk_bytes=_disk_bytes(path),
        sha256="",
        fresh=False,
        source=source,
        first=0,
        end=header.num_layers,
        num_layers=header.num_layers,
        is_vocab=False,
        last_used_s=time.time(),
    )


def _disk_bytes(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
