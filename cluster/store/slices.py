"""The slice store of a node: slices are cut once, kept under the cache folder, and checked before each use.

Nobody else may write in its folder. What another user owns or may write, what changed since it was written, and what
has no manifest with this store's seal counts as not there, and is cut again.

A slice is `<key>.gguf` with a manifest `<key>.json` beside it; both appear by rename, complete and synced.
While one is written, its process holds `<key>.lock` and writes to `<key>.*.part`; whoever gets that lock may
delete the parts, because their writer is dead. Only where they come from afar, `<key>.journal` says what has
arrived, and the next writer goes on from there. Files of any other name are never touched.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.api.errors import CapacityError, UsageError
from cluster.cutting.cut import SlicePlan
from cluster.cutting.rules import RULES_VERSION
from cluster.cutting.servable import Servable, cut_servable, header_plan
from cluster.node.own_files import is_own_folder, make_own_folder, open_own
from cluster.store.entry import Manifest, StoredSlice
from cluster.store.folder import default_root, disk_bytes, sync_folder
from cluster.store.lock import locked
from cluster.store.opened import OpenModel
from cluster.store.origin import SliceOrigin, slice_origin
from cluster.store.shelf import Shelf
from cluster.store.soundness import verified
from cluster.store.writer import Progress, SliceFiles, needs_network, write_slice


def _key(model_hash: str, version: str, first: int, end: int) -> str:
    return hashlib.sha256(repr((model_hash, version, first, end, RULES_VERSION)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Job:
    """A slice to have."""

    opened: OpenModel
    plan: SlicePlan

    def key(self) -> str:
        return _key(self.opened.hash, self.opened.version, self.plan.first, self.plan.end)

    def manifest(self, path: Path, sha256: str) -> Manifest:
        status = path.stat()
        return Manifest(
            source=self.opened.name,
            model_hash=self.opened.hash,
            version=self.opened.version,
            first=self.plan.first,
            end=self.plan.end,
            num_layers=self.plan.num_layers,
            is_vocab=self.plan.end == 0,
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            sha256=sha256,
            verified_s=int(time.time()),
        )


class SliceStore:
    """Slices on this node's disk. Safe to use from several processes and threads at once."""

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self.root = Path(root) if root is not None else default_root()
        self._shelf = Shelf(self.root)

    def get_slice(self, opened: OpenModel, first: int, end: int, progress: Progress | None = None) -> StoredSlice:
        """A file with layers [first, end): found, or written now. All layers of a local file: itself, no copy.

        Bytes that another slice in the store has are taken from there. Raises what `cut` and `write_slice` raise,
        UsageError if the store's folder cannot be used.
        """
        if opened.path is not None and (first, end) == (0, opened.model.num_layers):
            return _whole(opened.path, opened.model)
        return self._get(_Job(opened, cut_servable(opened.model, first, end, opened.hash)), progress)

    def get_vocabulary(self, opened: OpenModel, progress: Progress | None = None) -> StoredSlice:
        """A file with the model's metadata, tokenizer or graph, and no weights; errors as for `get_slice`."""
        return self._get(_Job(opened, header_plan(opened.model)), progress)

    def find(
        self, model_hash: str, version: str, first: int, end: int, progress: Progress | None = None
    ) -> StoredSlice | None:
        """The slice, checked, if it is here; nothing else is read. UsageError if the folder cannot be used.

        `progress` gets 0..1 where its bytes have to be verified.
        """
        key = _key(model_hash, version, first, end)
        if not is_own_folder(self.root):
            return None
        try:
            if self._shelf.is_recent(key) is not None:
                return self._shelf.checked(key)
            with locked(self._shelf.path(key, "lock")):
                return self._shelf.checked(key, progress)
        except OSError as error:
            raise self._store_error(error) from error

    def verify(self, model_hash: str, progress: Progress | None = None) -> Iterator[tuple[StoredSlice, bool]]:
        """Read each stored slice of this model, and say whether it has the bytes that were written.

        One that has not will be cut again by the next `get`. OSError as the disk gives it.
        """
        for item in self.list():
            with locked(self._shelf.path(item.key, "lock")):
                manifest = self._shelf.manifest(item.key)
                if manifest is None or manifest.model_hash != model_hash:
                    continue
                fresh = verified(item.path, manifest, progress)
                if fresh is None:
                    self._shelf.path(item.key, "json").unlink(missing_ok=True)
                else:
                    self._shelf.write_manifest(item.key, fresh)
            yield item, fresh is not None

    def missing_bytes(self, plan: SlicePlan, model_hash: str, version: str) -> int:
        """Bytes of disk that the slice `plan` of this model takes beyond what of it is here already. Reads nothing."""
        key = _key(model_hash, version, plan.first, plan.end)
        try:
            path = self._shelf.path(key, "gguf")
            if path.exists() and path.stat().st_size == plan.file_bytes:
                return 0
            return max(0, len(plan.header_bytes) + plan.weight_bytes - disk_bytes(self._shelf.path(key, "gguf.part")))
        except OSError as error:
            raise self._store_error(error) from error

    def check_writable(self) -> None:
        """Make the folder, and a file in it for a moment. UsageError if that cannot be, CapacityError without room."""
        try:
            make_own_folder(self.root)
            with tempfile.TemporaryFile(dir=self.root, buffering=0) as file:
                file.write(bytes(1))
        except OSError as error:
            raise self._store_error(error) from error

    def origins_of(self, opened: OpenModel) -> tuple[SliceOrigin, ...]:
        """The slices of this model in this version that are here, as places to read from."""
        return tuple(origin for key in self._shelf.all_keys() if (origin := self._origin(key, opened)) is not None)

    def list(self) -> tuple[StoredSlice, ...]:
        """All complete slices, the latest used first."""
        found = [self._shelf.stored(key, fresh=False) for key in self._shelf.all_keys()]
        return tuple(sorted((entry for entry in found if entry), key=lambda entry: -entry.last_used_s))

    def unfinished(self) -> tuple[tuple[str, int], ...]:
        """Downloads that can go on: (key, bytes on disk)."""
        keys = [key for key in self._shelf.all_keys() if self._shelf.can_resume(key, "gguf.part")]
        return tuple((key, disk_bytes(self._shelf.path(key, "gguf.part"))) for key in keys)

    def remove(self, key: str) -> int:
        """Delete one slice; the bytes of disk it took. UsageError if there is none of this key.

        A process that has the slice mapped keeps it until it ends.
        """
        if key not in self._shelf.all_keys():
            raise UsageError(f"slice {key!a}: not in the store {self.root}; run `cluster cache ls`")
        return self._shelf.remove(key)

    def remove_all(self) -> int:
        """Delete every slice; the bytes of disk they took."""
        return sum(self._shelf.remove(key) for key in self._shelf.all_keys())

    def _get(self, job: _Job, progress: Progress | None) -> StoredSlice:
        key = job.key()
        try:
            make_own_folder(self.root)
            self._shelf.sweep()
            with locked(self._shelf.path(key, "lock")):
                found = self._shelf.checked(key, progress)
                if found is None:
                    self._write(key, job, progress)
                    found = self._shelf.stored(key, fresh=True)
                assert found is not None
        except OSError as error:
            raise self._store_error(error) from error
        if progress is not None:
            progress(1.0)
        return found

    def _write(self, key: str, job: _Job, progress: Progress | None) -> None:
        part, journal, path = (self._shelf.path(key, kind) for kind in ("gguf.part", "journal", "gguf"))
        _drop_foreign(part, journal)
        if self._shelf.path(key, "json").exists():
            self._shelf.path(key, "json").unlink()
            journal.unlink(missing_ok=True)  # a stage may have mapped the file: it is replaced, and never written to
        elif journal.exists() and path.exists():
            path.replace(part)  # its writer died before the manifest: the journal knows what is sound
            _drop_foreign(part)
        origins = sorted((*job.opened.origins, *self.origins_of(job.opened)), key=lambda origin: not origin.is_local)
        is_resumable = needs_network(job.plan, origins)
        try:
            sha256 = write_slice(job.plan, origins, SliceFiles(part, journal if is_resumable else None), progress)
            part.replace(path)
        finally:
            if not is_resumable:
                part.unlink(missing_ok=True)
        self._shelf.write_manifest(key, job.manifest(path, sha256))
        journal.unlink(missing_ok=True)
        sync_folder(self.root)

    def _origin(self, key: str, opened: OpenModel) -> SliceOrigin | None:
        manifest, path = self._shelf.manifest(key), self._shelf.path(key, "gguf")
        if manifest is None or manifest.is_vocab:
            return None
        if (manifest.model_hash, manifest.version) != (opened.hash, opened.version):
            return None
        try:
            # Without waiting: who writes that slice may be waiting for ours.
            with locked(self._shelf.path(key, "lock"), wait=False) as is_ours:
                if not is_ours or self._shelf.checked(key, is_use=False) is None:
                    return None
                return slice_origin(path, cut_servable(opened.model, manifest.first, manifest.end, opened.hash))
        except (UsageError, OSError):  # another version's cut, or gone in the meantime
            return None

    def sweep(self) -> None:
        """Delete what dead writers left: parts and locks that nobody holds. A download that can go on stays."""
        self._shelf.sweep()

    def _store_error(self, error: OSError) -> CapacityError | UsageError:
        where = error.filename or self.root
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return CapacityError(f"slice store {where}: the disk is full; run `cluster cache rm`")
        reason = error.strerror or str(error)
        return UsageError(
            f"slice store {where}: {reason}; remove it or make it writable, or set XDG_CACHE_HOME to another folder"
        )


def _drop_foreign(*paths: Path) -> None:
    """Delete those files that are not ours alone: whoever holds them open could still write to them."""
    for path in paths:
        descriptor = open_own(path)
        if descriptor is None:
            path.unlink(missing_ok=True)
        else:
            os.close(descriptor)


def _whole(path: Path, model: Servable) -> StoredSlice:
    return StoredSlice(
        key="",
        path=path,
        size_bytes=model.header.file_size_bytes,
        disk_bytes=disk_bytes(path),
        sha256="",
        fresh=False,
        source=str(path),
        first=0,
        end=model.num_layers,
        num_layers=model.num_layers,
        is_vocab=False,
        last_used_s=time.time(),
    )
