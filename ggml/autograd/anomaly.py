"""Anomaly mode: each operation notes who called it, and the first derivative that makes NaN is an error naming both."""

from __future__ import annotations

from ggml.autograd import engine
from ggml.tensors import history

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class set_detect_anomaly:
    """Turn the mode on or off, for this process; as a block, until its end."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = history.note_places(bool(mode)), engine.check_nan(bool(mode) and bool(check_nan))

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        history.note_places(self._before[0])
        engine.check_nan(self._before[1])


class detect_anomaly:
    """A block in which errors of ``backward`` say where the operation was called, and NaN in a gradient is one."""

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = bool(check_nan)

    def __enter__(self) -> None:
        self._mode = set_detect_anomaly(True, self._check_nan)

    def __exit__(self, *error: object) -> None:
        self._mode.__exit__(*error)
