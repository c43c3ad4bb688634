"""The files of a slice store: which belong to a slice, which of them are sound, and which nobody needs any more."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from cluster.store.entry import Manifest, StoredSlice, read_manifest
from cluster.store.folder import disk_bytes
from cluster.store.lock import locked
from cluster.store.seal import Seal
from cluster.store.soundness import Progress, is_recent, verified

# A journal makes a part worth keeping when its writer is dead: what has arrived from afar need not come again.
_OWN_FILE = re.compile(r"([0-9a-f]{64})\.(gguf|json|lock|gguf\.part|json\.part|journal)")
_KINDS = ("json", "gguf", "gguf.part", "json.part", "journal")
RESUMABLE_S = 7 * 24 * 3600.0  # an interrupted download is forgotten after a week


class Shelf:
    """The folder `root`, which need not be there. Errors are those of the disk (OSError)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._seal = Seal(root)

    def path(self, key: str, kind: str) -> Path:
        """The path of the file of this kind that belongs to a slice."""
        return self.root / f"{key}.{kind}"

    def all_keys(self) -> tuple[str, ...]:
        """The keys of slices that have any file here."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return ()
        return tuple(sorted({match[1] for name in names if (match := _OWN_FILE.fullmatch(name))}))

    def manifest(self, key: str) -> Manifest | None:
        """What this store wrote beside the slice, None where there is nothing that it did."""
        return read_manifest(self.path(key, "json"), self._seal)

    def write_manifest(self, key: str, manifest: Manifest) -> None:
        """Seal it, and put it beside its slice."""
        manifest.write(self.path(key, "json.part"), self.path(key, "json"), self._seal)

    def is_recent(self, key: str) -> bool | None:
        """Whether the slice is as its manifest says; None where only its bytes can tell, which takes the lock."""
        manifest = self.manifest(key)
        return manifest is not None and is_recent(self.path(key, "gguf"), manifest)

    def checked(self, key: str, progress: Progress | None = None, is_use: bool = True) -> StoredSlice | None:
        """The slice if it is sound: by owner, size and times, or by its bytes where these do not tell."""
        manifest, target = self.manifest(key), self.path(key, "json")
        if manifest is None:
            return None
        is_sound = is_recent(self.path(key, "gguf"), manifest)
        if is_sound is None:
            manifest = verified(self.path(key, "gguf"), manifest, progress)
            if manifest is not None:
                self.write_manifest(key, manifest)
        if not manifest or is_sound is False:
            return None
        if is_use:
            os.utime(target)
        return self.stored(key, fresh=False)

    def stored(self, key: str, fresh: bool) -> StoredSlice | None:
        """What is known of the slice; its file is not looked at. `fresh`: it was written just now."""
        manifest, path = self.manifest(key), self.path(key, "gguf")
        try:
            last_used_s = self.path(key, "json").stat().st_mtime
        except FileNotFoundError:
            return None
        if manifest is None:
            return None
        return StoredSlice(
            key=key,
            path=path,
            size_bytes=manifest.size_bytes,
            disk_bytes=disk_bytes(path),
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
        """Delete what dead writers left: parts and locks that nobody holds. A download that can go on stays."""
        for name in os.listdir(self.root) if self.root.is_dir() else ():
            match = _OWN_FILE.fullmatch(name)
            if match is None or match[2] in ("gguf", "json"):
                continue
            with locked(self.path(match[1], "lock"), wait=False) as is_ours:
                if is_ours and match[2] != "lock" and not self.can_resume(match[1], match[2]):
                    (self.root / name).unlink(missing_ok=True)

    def can_resume(self, key: str, kind: str) -> bool:
        """Whether the file of this kind is of a download that can go on."""
        try:
            age_s = time.time() - self.path(key, "journal").stat().st_mtime
        except FileNotFoundError:
            return False
        is_finished = self.path(key, "json").exists()
        return kind in ("gguf.part", "journal") and age_s < RESUMABLE_S and not is_finished

    def remove(self, key: str) -> int:
        """Delete all files of a slice; the bytes of disk it took."""
        with locked(self.path(key, "lock")):
            freed_bytes = sum(disk_bytes(self.path(key, kind)) for kind in ("gguf", "gguf.part"))
            for kind in _KINDS:
                self.path(key, kind).unlink(missing_ok=True)
        if not self.all_keys():
            self._seal.forget()
        return freed_bytes
