"""A module as generation calls it: compiled, with the caches that it keeps."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError
from ggml.nn.layers.kv_cache import KVCache
from ggml.nn.module.module import Module
from ggml.ops.create.interop import from_numpy
from ggml.tensors.compiled import compile
from ggml.tensors.tensor import Tensor

#: What a module may call the argument that says where its tokens stand.
POSITIONS = ("cache_position", "positions", "position_ids")


class ModuleCall:
    """``forward(input_ids)``, or ``forward(input_ids, cache_position)`` where it has a ``KVCache``."""

    most_tokens: int | None = None
    least_tokens = 1

    def __init__(self, module: Module) -> None:
        parameters = inspect.signature(module.forward).parameters
        self._position_name = next((name for name in POSITIONS if name in parameters), None)
        self._caches = list(_caches(module))
        self.keeps = bool(self._caches)
        if self.keeps and self._position_name is None:
            why = f"has a KVCache, but forward takes none of {', '.join(POSITIONS)}"
            raise ArgumentError("generate", "the module", why)
        sizes = {cache.shape[0] for cache in self._caches}
        if len(sizes) > 1:
            raise ArgumentError("generate", "the module", f"has caches of different batches: {sorted(sizes)}")
        self.num_rows = sizes.pop() if sizes else None
        self.context_length = min((cache.capacity for cache in self._caches), default=None)
        self._run = compile(module)

    def begin(self) -> None:
        for cache in self._caches:
            cache.reset()

    def __call__(self, tokens: NDArray[np.int64], positions: NDArray[np.int64]) -> Tensor:
        named = {self._position_name: from_numpy(positions)} if self._position_name else {}
        found: Any = self._run(from_numpy(np.ascontiguousarray(tokens)), **named)
        found = found[0] if isinstance(found, tuple) else found
        if not isinstance(found, Tensor):
            raise ArgumentError("generate", "the module", f"must give logits, not {type(found).__name__}")
        return found


def _caches(module: Module) -> Iterator[KVCache]:
    """The caches that a module and those in it hold, each once."""
    seen: set[int] = set()
    for one in module.modules():
        for value in vars(one).values():
            for cache in _listed(value):
                if isinstance(cache, KVCache) and id(cache) not in seen:
                    seen.add(id(cache))
                    yield cache


def _listed(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (list, tuple)) else [value]
