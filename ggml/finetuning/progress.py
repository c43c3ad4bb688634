"""What a run says while it goes: lines for people, one JSON object a step, and the curve at the end."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ggml.finetuning.training import Done

_ROWS, _WIDTH = 10, 40


class Progress:
    """Prints a line at the first step, at the last one, and every ``interval_s`` between, also while a step takes long.

    A context manager: a thread of its own keeps time.
    """

    def __init__(self, first: int, num_steps: int, say: Callable[[str], None] = print, interval_s: float = 8.0) -> None:
        """``first``: steps that are done already."""
        self._first, self._num_steps, self._say, self._interval_s = first, num_steps, say, interval_s
        self._began_s = self._step_began_s = time.monotonic()
        self._num_tokens = 0
        self._last: Done | None = None
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._keep_time, daemon=True, name="ggml-finetune-progress")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def add(self, done: Done) -> None:
        """A step is done."""
        with self._lock:
            is_first = self._last is None
            self._last, self._step_began_s = done, time.monotonic()
            self._num_tokens += done.num_tokens
            if is_first or done.step == self._num_steps:
                self._say(self._line())

    def _keep_time(self) -> None:
        while not self._stop.wait(self._interval_s):
            with self._lock:
                self._say(self._line())

    def _line(self) -> str:
        now_s, last = time.monotonic(), self._last
        if last is None:
            return f"step {self._first + 1}/{self._num_steps}  begun {now_s - self._began_s:.0f} s ago"
        took_s = max(now_s - self._began_s, 1e-9)
        left_s = (self._num_steps - last.step) * (self._step_began_s - self._began_s) / (last.step - self._first)
        speed = f"{self._num_tokens / took_s:.0f} tokens/s"
        return f"step {last.step}/{self._num_steps}  loss {last.loss:.4f}  {speed}  {_clock(left_s)} left"


class History:
    """A file with a line for each step, beside the adapter. One of a run that goes on is cut where the run stands."""

    def __init__(self, path: str, step_count: int) -> None:
        self._path = Path(path)
        self.losses: list[tuple[int, float]] = []
        kept = self._kept(step_count) if step_count else []
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        temporary.write_text("".join(kept))
        os.replace(temporary, self._path)
        self._file = open(self._path, "a")  # noqa: SIM115  # it is open as long as the run

    def _kept(self, step_count: int) -> list[str]:
        """Lines of steps that are done. A file that is gone or damaged is no reason to stop: it begins anew."""
        kept = []
        try:
            for line in self._path.read_text().splitlines():
                found = json.loads(line)
                if int(found["step"]) <= step_count:
                    self.losses.append((int(found["step"]), float(found["loss"])))
                    kept.append(line + "\n")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return kept
        return kept

    def add(self, done: Done) -> None:
        """Write the step's line at once."""
        self.losses.append((done.step, done.loss))
        told = {"step": done.step, "loss": done.loss, "learning_rate": done.rate, "tokens": done.num_tokens}
        self._file.write(json.dumps(told) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def curve(losses: Sequence[tuple[int, float]]) -> str:
    """A line for each tenth of the steps: which they are, their mean loss, and a bar as long as that is."""
    if not losses:
        return ""
    size = -(-len(losses) // _ROWS)
    parts = [losses[first : first + size] for first in range(0, len(losses), size)]
    means = [sum(loss for _, loss in part) / len(part) for part in parts]
    worst = max(means) or 1.0
    rows = [f"{'steps':>13}  {'loss':>8}"]
    for part, mean in zip(parts, means, strict=True):
        steps = f"{part[0][0]}-{part[-1][0]}"
        rows.append(f"{steps:>13}  {mean:8.4f}  {'#' * max(0, round(_WIDTH * mean / worst))}".rstrip())
    return "\n".join(rows)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
