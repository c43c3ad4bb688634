"""Loading: each rank reads what it needs, by the index, however many ranks have written it."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import ggml
from cluster.train.checkpoint.index import Index, read_index
from cluster.train.checkpoint.pieces import SEPARATOR, params_of, piece_of, settings_path, state_path
from cluster.train.checkpoint.reading import Reading
from cluster.train.default_group import the_group
from cluster.train.process_group import ProcessGroup
from cluster.train.zero_redundancy_optimizer import ZeroRedundancyOptimizer
from ggml import nn, optim
from ggml.core.errors import FileFormatError, StateDictError


def load(state_dict: MutableMapping[str, Any], folder: Any, process_group: Any = None) -> None:
    """Bring everything in `state_dict` to where it was when `folder` was written, in its place; plain values of it are
    replaced. How many ranks wrote it does not matter, nor whether parameters were shared out then.

    ``process_group``: the ranks among which parameters are shared out, None for all. All is read before anything
    changes: FileNotFoundError without a checkpoint, FileFormatError for a file that is damaged or missing,
    StateDictError where something has another shape or is not there. UsageError without a group.
    """
    group = the_group("checkpoint.load", process_group)
    found = _Load(Path(folder), read_index(Path(folder)), group)
    changes = [found.change(str(name), value, state_dict) for name, value in state_dict.items()]
    if found.missing or found.errors:
        raise StateDictError(f"checkpoint.load: {folder}", found.missing, [], found.errors, True)
    for change in changes:
        change()


class _Load:
    """What it found wrong: names that are not there, and what does not fit."""

    def __init__(self, folder: Path, index: Index, group: ProcessGroup) -> None:
        self._index, self._group = index, group
        self._reading = Reading(folder, index)
        self._folder = folder
        self.missing: list[str] = []
        self.errors: list[str] = []

    def change(self, name: str, value: Any, state: MutableMapping[str, Any]) -> Callable[[], Any]:
        """What brings `value` to where it was."""
        if isinstance(value, nn.Module):
            new = {
                key: self._like(f"{name}{SEPARATOR}{key}", one)
                for key, one in value.state_dict(keep_vars=True).items()
            }  # fmt: skip
            return lambda: value.load_state_dict(new)
        if isinstance(value, optim.Optimizer):
            whole = self._of_optimizer(name, value)
            return lambda: value.load_state_dict(whole)
        if isinstance(value, ggml.Tensor):
            read = self._like(name, value)

            def copy() -> None:
                with ggml.no_grad():
                    value.copy_(read)

            return copy
        if name not in self._index.values:
            self.missing.append(name)
            return lambda: None
        plain = self._index.values[name]
        if hasattr(value, "load_state_dict"):
            return lambda: value.load_state_dict(plain)
        return lambda: state.__setitem__(name, plain)

    def _like(self, path: str, like: Any) -> Any:
        """The value at `path` as `like` lies on this rank."""
        if not isinstance(like, ggml.Tensor):
            if path not in self._index.values:
                self.missing.append(path)
            return self._index.values.get(path)
        if path not in self._index.tensors:
            self.missing.append(path)
            return None
        piece = piece_of(like, like, self._group)
        stored = self._index.tensors[path][0].shape
        if stored != piece.whole.shape:
            self.errors.append(f"{path}: {stored} in the checkpoint, {piece.whole.shape} here")
            return None
        return self._reading.elements(path, piece.begin, piece.end, tuple(like.shape))

    def _of_optimizer(self, name: str, value: optim.Optimizer) -> dict[str, Any]:
        settings = self._index.values.get(settings_path(name))
        params = params_of(value)
        if not isinstance(settings, list) or not all(isinstance(one, dict) and "params" in one for one in settings):
            self.missing.append(settings_path(name))
            return {}
        have = [len(each["params"]) for each in value.param_groups]
        given = [len(each["params"]) for each in settings]
        if have != given:
            self.errors.append(f"{name}: groups of {given} parameters in the checkpoint, of {have} here")
            return {}
        mine = value.owned_numbers() if isinstance(value, ZeroRedundancyOptimizer) else set(range(len(params)))
        state: dict[int, dict[str, Any]] = {}
        begin = f"{name}{SEPARATOR}state{SEPARATOR}"
        for path in (*self._index.tensors, *self._index.values):
            if not path.startswith(begin):
                continue
            number, key = self._split(path, begin, len(params))
            if number in mine:
                state.setdefault(number, {})[key] = self._kept(state_path(name, number, key), params[number])
        return {"state": state, "param_groups": settings}

    def _split(self, path: str, begin: str, num_params: int) -> tuple[int, str]:
        number, _, key = path[len(begin) :].partition(SEPARATOR)
        if not number.isdecimal() or len(number) > 9 or int(number) >= num_params:
            raise FileFormatError(str(self._folder), path, "is of no parameter")
        return int(number), key

    def _kept(self, path: str, param: ggml.Tensor) -> Any:
        """What an optimiser keeps of a parameter: as that lies here, where it has its shape."""
        if path in self._index.values:
            return self._index.values[path]
        whole = self._index.tensors[path][0]
        piece = piece_of(param, param, self._group)
        if whole.shape == piece.whole.shape:
            return self._reading.elements(path, piece.begin, piece.end, tuple(param.shape))
        return self._reading.elements(path, 0, whole.numel, whole.shape)
