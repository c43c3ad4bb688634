"""What the slice store knows about one slice, and the small JSON file that keeps it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cluster.node.own_files import read_own
from cluster.store.seal import Seal

MAX_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is written beside a slice file once it is complete. `source` and `version`: see `OpenModel`.

    `ctime_ns` changes with every write to the file and cannot be set. `verified_s`: when its bytes last had `sha256`.
    """

    source: str
    model_hash: str
    version: str
    first: int
    end: int
    num_layers: int
    is_vocab: bool
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    sha256: str
    verified_s: int

    def write(self, part: Path, target: Path, seal: Seal) -> None:
        """Replace `target`; never half of it, because it is written to `part` first."""
        content = {**asdict(self), "seal": seal.of(self._sealed(target))}
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)

    def is_sealed(self, target: Path, seal: str, by: Seal) -> bool:
        """Whether `by` wrote it as `target`, and nobody changed it."""
        return by.is_on(self._sealed(target), seal)

    def _sealed(self, target: Path) -> bytes:
        return json.dumps([target.name, asdict(self)], sort_keys=True).encode()


def read_manifest(path: Path, seal: Seal) -> Manifest | None:
    """The manifest at `path`, None where there is none, it is damaged, or this store has not written it."""
    data = read_own(path, MAX_MANIFEST_BYTES)
    try:
        found = json.loads(data or b"")
        types = {"str": str, "int": int, "bool": bool}
        if all(type(found[field.name]) is types[str(field.type)] for field in fields(Manifest)):
            given = found.pop("seal")
            manifest = Manifest(**found)
            return manifest if isinstance(given, str) and manifest.is_sealed(path, given, seal) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


@dataclass(frozen=True, slots=True)
class StoredSlice:
    """A file to load: layers [first, end) of `num_layers`, or a vocabulary.

    `fresh`: written by this call. `key` and `sha256` are empty for a whole model, which stays where it is.
    `disk_bytes` is what it takes on disk, less than `size_bytes` where it has holes. Times in s since 1970.
    """

    key: str
    path: Path
    size_bytes: int
    disk_bytes: int
    sha256: str
    fresh: bool
    source: str
    first: int
    end: int
    num_layers: int
    is_vocab: bool
    last_used_s: float

    @property
    def source_name(self) -> str:
        """The file name of the model, for people."""
        return os.path.basename(self.source)

    @property
    def layers(self) -> str:
        """The range, for people."""
        return "vocabulary" if self.is_vocab else f"[{self.first}, {self.end}) of {self.num_layers}"

    @property
    def last_used(self) -> str:
        """Local time, for people."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.last_used_s))
