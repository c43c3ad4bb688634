"""What the slice store knows about one slice, and the small JSON file that keeps it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is written beside a slice file once it is complete. `source` and `version`: see `OpenModel`."""

    source: str
    model_hash: str
    version: str
    first: int
    end: int
    num_layers: int
    is_vocab: bool
    size_bytes: int
    mtime_ns: int
    sha256: str

    def write(self, part: Path, target: Path) -> None:
        """Replace `target`; never half of it, because it is written to `part` first."""
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)


def read_manifest(path: Path) -> Manifest | None:
    """The manifest at `path`, None where there is none or it is damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
        types = {"str": str, "int": int, "bool": bool}
        if all(type(found[field.name]) is types[str(field.type)] for field in fields(Manifest)):
            return Manifest(**found)
    except (OSError, ValueError, KeyError, TypeError):
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
