"""Numbers, distributions and texts for TensorBoard, as ``torch.utils.tensorboard``; tensorboardX writes the files."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError, UnsupportedOpError
from ggml.registry.arguments import integer
from ggml.tensors.tensor import Tensor

__all__ = ["SummaryWriter"]


#: Edges of bins that fit numbers of any size, as those of TensorFlow and PyTorch: each is 1.1 times the one before.
_POSITIVE = [1e-12 * 1.1**power for power in range(774)]
_BINS = [*[-one for one in reversed(_POSITIVE)], 0.0, *_POSITIVE]


class SummaryWriter:
    """Writes an event file in ``log_dir``: by default ``runs/`` with the time, the host's name and ``comment``.

    Needs the package tensorboardX: ``pip install 'ggml-cluster[tensorboard]'``. Values may be tensors of ``ggml``,
    arrays or numbers. What was added is on disk after ``flush`` or ``close``, and whenever something is added and
    ``flush_secs`` seconds have passed. With ``purge_step`` TensorBoard forgets what an earlier run wrote from that step
    on. A ``with`` block closes it. ``max_queue`` has no effect: there is no thread that writes.
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        try:
            from tensorboardX import event_file_writer, summary
            from tensorboardX.proto import event_pb2
        except ImportError as error:
            hint = "it needs the package tensorboardX: pip install 'ggml-cluster[tensorboard]'"
            raise UnsupportedOpError("SummaryWriter", "this installation", hint) from error
        self._summary, self._events, self._write_to = summary, event_pb2, event_file_writer.EventsWriter
        name = f"{time.strftime('%b%d_%H-%M-%S')}_{socket.gethostname()}{comment}"
        self._folder = Path("runs") / name if log_dir is None else Path(log_dir)
        self._suffix, self._flush_secs, self._flushed_at = filename_suffix, flush_secs, time.monotonic()
        self._files: dict[Path, Any] = {}  # of each folder; those below are of add_scalars
        self._is_closed = False
        self._file(self._folder)
        if purge_step is not None:
            log = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._file(self._folder).write_event(
                event_pb2.Event(wall_time=time.time(), step=purge_step, session_log=log)
            )

    @property
    def log_dir(self) -> str:
        return str(self._folder)

    def get_logdir(self) -> str:
        """The folder that the file lies in."""
        return self.log_dir

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """One number under a tag. ``walltime`` is in seconds since 1970; now by default."""
        number = _number("add_scalar", scalar_value)
        self._add("add_scalar", self._summary.scalar(tag, number), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers in one plot: each has a file of its own in the folder ``main_tag_name``."""
        if not isinstance(tag_scalar_dict, Mapping):
            raise DTypeError("add_scalars", "a dict of numbers by name", type(tag_scalar_dict).__name__)
        numbers = {name: _number("add_scalars", value) for name, value in tag_scalar_dict.items()}
        for name, number in numbers.items():
            folder = self._folder / f"{main_tag}_{name}".replace("/", "_")
            self._add("add_scalars", self._summary.scalar(main_tag, number), global_step, walltime, folder)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How the elements are spread. ArgumentError where there are none, or one is not finite."""
        found = _array("add_histogram", values).reshape(-1)
        if not found.size or not bool(np.isfinite(found).all()):
            raise ArgumentError("add_histogram", "values", "must be at least one, and all finite")
        edges = _BINS if isinstance(bins, str) and bins == "tensorflow" else bins
        made = self._summary.histogram(tag, found.astype(np.float64), edges, max_bins)
        self._add("add_histogram", made, global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """A text, which TensorBoard shows as Markdown."""
        if not isinstance(text_string, str):
            raise DTypeError("add_text", "a string", type(text_string).__name__)
        self._add("add_text", self._summary.text(tag, text_string), global_step, walltime)

    def flush(self) -> None:
        """Everything that was added is on disk then."""
        self._need_open("flush")
        for file in self._files.values():
            file.flush()
        self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Flush, and close the files. A second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            for file in self._files.values():
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _need_open(self, op: str) -> None:
        if self._is_closed:
            raise ArgumentError(op, "the writer", "is closed")

    def _file(self, folder: Path) -> Any:
        if folder not in self._files:
            folder.mkdir(parents=True, exist_ok=True)
            self._files[folder] = self._write_to(str(folder / "events"), self._suffix)
        return self._files[folder]

    def _add(self, op: str, summary: Any, step: int | None, walltime: float | None, folder: Path | None = None) -> None:
        self._need_open(op)
        event = self._events.Event(wall_time=time.time() if walltime is None else walltime, summary=summary)
        if step is not None:
            event.step = integer(op, step, "global_step")
        self._file(folder or self._folder).write_event(event)
        if time.monotonic() - self._flushed_at > self._flush_secs:
            self.flush()


def _array(op: str, value: Any) -> NDArray[Any]:
    if isinstance(value, Tensor):
        if value.dtype.is_quantized:
            raise DTypeError(op, "numbers", value.dtype)
        plain = value.detach()
        return (plain.to(dtypes.float32) if plain.dtype.is_floating_point else plain).cpu().numpy()
    found = np.asarray(value)
    if found.dtype.kind not in "fiub":
        raise DTypeError(op, "numbers", type(value).__name__)
    return found


def _number(op: str, value: Any) -> float:
    found = _array(op, value)
    if found.size != 1:
        raise ArgumentError(op, "a value", f"must be one number: it has the shape {found.shape}")
    return float(found.reshape(-1)[0])
