"""What stages that die while they load leave behind: the signal, and what libllama said last.

Each writes it to a file of its own in a folder that whoever starts them made: a mapped page outlives the process. On
another machine there is no such folder, and nothing is known.
"""

from __future__ import annotations

import signal
import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from cluster.node.disk import named_errors, safe_tempdir, temporary_root

_HEAD = struct.Struct("=ii")  # the signal, and how much the words tell: worker_native/src/base/last_words.h
MAX_WORDS_BYTES = 4096


class LastWords:
    """A folder for as long as stages load."""

    def __init__(self) -> None:
        with named_errors(temporary_root(), "set TMPDIR to a folder on another disk"):
            self._folder = tempfile.TemporaryDirectory(prefix="ggml-cluster-words-", dir=safe_tempdir())

    def __enter__(self) -> LastWords:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def path(self, stage: int) -> str:
        """Where stage `stage` keeps its own."""
        return str(Path(self._folder.name) / f"stage-{stage}")

    def why(self, stage: int) -> str:
        """Why the process of a stage ended, and what to do: for the end of a message."""
        try:
            with open(self.path(stage), "rb") as file:
                data = file.read(MAX_WORDS_BYTES)
            number, _ = _HEAD.unpack_from(data)
        except (OSError, struct.error):
            return "nothing is known of why; run cluster up again, and look into Ray's logs on its node"
        words = data[_HEAD.size :].partition(b"\0")[0].decode("utf-8", "replace")
        said = f"; libllama's last words: {words}" if words else ""
        if number == 0:
            return f"killed, as systems do where memory is short{said}; use less of it, then run cluster up again"
        return f"{_name(number)}{said}; see what cluster doctor says of the model"


def _name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
