"""What Ray keeps of what processes print: a file for each of their two outputs, in the folder of its session."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cluster.api.errors import UsageError
from cluster.node.run_folder import ray_folder

MAX_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LogFile:
    """One of them."""

    name: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class RayLogs:
    """Those in `folder`. Methods may be called on several threads at once."""

    folder: Path

    @classmethod
    def below(cls, run_folder: Path) -> RayLogs:
        """Those of the Ray that was started with this run folder."""
        return cls(ray_folder(run_folder) / "session_latest" / "logs")

    def of(self, pid: int) -> tuple[LogFile, ...]:
        """The output of the process `pid`, errors first."""
        found = sorted(self.folder.glob(f"worker-*-{pid}.*"), key=lambda path: (path.suffix != ".err", path.name))
        return tuple(LogFile(path.name, path.stat().st_size) for path in found)

    def read(self, name: str, offset: int, max_bytes: int = MAX_READ_BYTES) -> tuple[int, bytes]:
        """Bytes of a log from `offset` on, from its end if that is negative: where they begin, and what they are.

        UsageError for what is none of these files.
        """
        if name != Path(name).name or not name.startswith("worker-"):
            raise UsageError(f"log: {name[:80]!a} is none of this node")
        try:
            with open(self.folder / name, "rb") as file:
                end = file.seek(0, os.SEEK_END)
                start = max(0, end + offset) if offset < 0 else min(offset, end)
                file.seek(start)
                return start, file.read(max(0, min(max_bytes, MAX_READ_BYTES)))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"log: {name[:80]!a}: {reason}") from error
