"""Where training stands, on disk: everything that has a state dict, and the random numbers, by the step."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, Protocol

from ggml.core.errors import ArgumentError, DTypeError, FileFormatError, StateDictError
from ggml.core.grad_mode import no_grad
from ggml.io.nested import load_nested, save_nested
from ggml.ops.create.random import Generator, default_generator
from ggml.tensors.tensor import Tensor

__all__ = ["Checkpointer", "Stateful"]

_NAME = re.compile(r"checkpoint-(\d{1,18})\.gguf")


class Stateful(Protocol):
    """What can be kept: a module, an optimiser, a schedule, a sampler, a metric."""

    def state_dict(self) -> Any: ...
    def load_state_dict(self, state_dict: Any, /) -> Any: ...


class Checkpointer:
    """Saves the named parts under ``folder``, one file for each step, and keeps the ``keep`` newest.

    ``Checkpointer("runs/a", model=model, optimizer=optimizer, scheduler=scheduler, sampler=sampler)``; a part is what
    has ``state_dict`` and ``load_state_dict``, or a ``ggml.Generator``. The numbers that ``ggml`` draws without naming
    a generator go on where they were, too, so that a run that stopped and went on computes the same bits as one that
    did not. A file is written beside its name, synced, and renamed: it is there whole or not at all.
    """

    def __init__(self, folder: Any, *, keep: int = 3, **parts: Stateful | Generator) -> None:
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise ArgumentError("Checkpointer", "keep", f"must be an integer from 1 on: {keep!r}")
        if not parts:
            raise ArgumentError("Checkpointer", "parts", "are missing: give what is to be saved by name, model=model")
        for name, part in parts.items():
            if not isinstance(part, Generator) and not (
                callable(getattr(part, "state_dict", None)) and callable(getattr(part, "load_state_dict", None))
            ):
                expected = f"something with state_dict and load_state_dict as {name}"
                raise DTypeError("Checkpointer", expected, type(part).__name__)
        self.folder, self.keep, self.parts = Path(folder), keep, parts

    def path(self, step: int) -> Path:
        """The file of a step, whether or not it is there."""
        return self.folder / f"checkpoint-{step:08d}.gguf"

    def steps(self) -> list[int]:
        """The steps that there are files of, oldest first."""
        if not self.folder.is_dir():
            return []
        found = [_NAME.fullmatch(one.name) for one in self.folder.iterdir()]
        return sorted(int(one[1]) for one in found if one is not None)

    def latest(self) -> Path | None:
        """The newest file; None where there is none."""
        steps = self.steps()
        return self.path(steps[-1]) if steps else None

    def save(self, step: int) -> Path:
        """Write the state of all parts as that of ``step``, and remove files that are too old.

        OSError where it cannot be written: the files that were there are still there then.
        """
        if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < 10**18:
            raise ArgumentError("Checkpointer.save", "step", f"must be an integer from 0 on: {step!r}")
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(step)
        parts = {name: _state_of(part) for name, part in self.parts.items()}
        save_nested({"step": step, "parts": parts, "random": _state_of(default_generator)}, path)
        others = [one for one in self.steps() if one != step]
        for old in others[: max(0, len(others) + 1 - self.keep)]:
            self.path(old).unlink(missing_ok=True)
        # What a process that died while it wrote has left. One process writes to a folder at a time.
        for left in self.folder.glob(".checkpoint-*.gguf.*.tmp"):
            left.unlink(missing_ok=True)
        return path

    def restore(self, step: int | None = None, *, fall_back: bool = False) -> int | None:
        """Bring all parts to where they were at ``step``, or at the newest one; returns it, or None without any file.

        A file that is damaged is a FileFormatError. With ``fall_back`` that is a warning, and the file before it is
        taken. One that has other parts, or state that does not fit them, is a StateDictError. Whatever fails, all
        parts are left as they were.
        """
        steps = self.steps()
        if step is not None:
            steps = [one for one in steps if one <= step]
            if step not in steps:
                raise FileNotFoundError(f"Checkpointer.restore: {self.path(step)}: there is no such file")
        while steps:
            path = self.path(steps[-1])
            try:
                state = _checked(path, load_nested(path))
            except FileFormatError as error:
                if not fall_back or len(steps) == 1:
                    raise
                warnings.warn(f"{error}; the checkpoint before it is taken", stacklevel=2)
                steps.pop()
                continue
            self._take(path, state)
            return int(state["step"])
        return None

    def _take(self, path: Path, state: dict[str, Any]) -> None:
        given = state["parts"]
        missing = [name for name in self.parts if name not in given]
        unexpected = [name for name in given if name not in self.parts]
        if missing or unexpected:
            raise StateDictError(f"Checkpointer: {path}", missing, unexpected, [], True)
        parts: dict[str, Any] = {**self.parts, "random": default_generator}
        before = {name: _state_of(part) for name, part in parts.items()}
        try:
            for name, part in parts.items():
                _give(part, _owned({**given, "random": state["random"]}[name]), path)
        except BaseException:
            for name, part in parts.items():
                _give(part, before[name], path)
            raise


def _state_of(part: Any) -> Any:
    if isinstance(part, Generator):
        return {"seed": part.initial_seed(), "place": part.snapshot()}
    return part.state_dict()


def _give(part: Any, state: Any, path: Path) -> None:
    if not isinstance(part, Generator):
        part.load_state_dict(state)
        return
    try:
        part.manual_seed(state["seed"])
        part.restore(state["place"])
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(str(path), "random", f"holds no place of a generator: {error}") from error


def _checked(path: Path, state: Any) -> dict[str, Any]:
    """The state, or FileFormatError for a file that another program wrote."""
    if not isinstance(state, dict) or set(state) != {"step", "parts", "random"} or not isinstance(state["parts"], dict):
        raise FileFormatError(str(path), "state", "is not one that a Checkpointer wrote")
    if type(state["step"]) is not int:
        raise FileFormatError(str(path), "step", "is no number")
    return state


def _owned(state: Any) -> Any:
    """The state with tensors of its own: what lies in a mapped file keeps that file's memory, also when it is gone."""
    if isinstance(state, Tensor):
        with no_grad():
            copy = state.clone()
            copy.buffer()
        return copy
    if isinstance(state, dict):
        # As the state has it: a Counter counts what it is given, so that it is filled and not made.
        copied = type(state)()
        for key, value in state.items():
            copied[key] = _owned(value)
        return copied
    if isinstance(state, (list, tuple)):
        return type(state)(_owned(one) for one in state)
    return state
