"""An importance matrix from samples: what arrives at each weight while a module runs."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np

import ggml.nn as nn
from ggml.core import tracing
from ggml.core.dtypes import float32
from ggml.core.errors import ArgumentError, DTypeError, TracingError
from ggml.nn.module.hooks import RemovableHandle
from ggml.quantization.imatrix import ImportanceMatrix
from ggml.tensors.tensor import Tensor

__all__ = ["Calibrator"]


class Calibrator:
    """Sums the squares of the inputs of every ``Linear`` below a module, while samples run through it.

    Use it as a context: hooks are added at its beginning and removed at its end. ``types`` are further classes
    whose forward multiplies its first argument's last axis with the rows of ``self.weight``. The module must be
    called itself; a compiled function of it has no values to look at.

        with ggml.quantization.Calibrator(model) as calibrator:
            for sample in samples:
                model(sample)
        calibrator.imatrix.save("imatrix.gguf")
    """

    def __init__(self, module: nn.Module, types: tuple[type[nn.Module], ...] = (), dataset: str = "samples") -> None:
        if not isinstance(module, nn.Module):
            raise DTypeError("Calibrator", "a module", type(module).__name__)
        kinds: tuple[type[nn.Module], ...] = (nn.Linear, *types)
        self._watched = [(path, found) for path, found in module.named_modules() if isinstance(found, kinds)]
        if not self._watched:
            raise ArgumentError("Calibrator", "module", f"holds no {' or '.join(kind.__name__ for kind in kinds)}")
        for kind in types:
            if not any(isinstance(found, kind) for _, found in self._watched):
                raise ArgumentError("Calibrator", "types", f"name {kind.__name__}, of which the module holds none")
        self._names = _weight_names(module)
        self._handles: list[RemovableHandle] = []
        self.imatrix = ImportanceMatrix((dataset,), chunk_size=1)

    def __enter__(self) -> Calibrator:
        if self._handles:
            raise ArgumentError("Calibrator", "with", "was entered already")
        for path, found in self._watched:
            self._handles.append(found.register_forward_pre_hook(self._watch(path)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _watch(self, path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def look(module: nn.Module, args: tuple[Any, ...]) -> None:
            if tracing.is_active():
                raise TracingError("Calibrator")
            if args and isinstance(args[0], Tensor) and args[0].numel():
                self._add(self._names[id(module.weight)], args[0])

        return look

    def _add(self, name: str, rows: Tensor) -> None:
        flat = rows.detach().to(float32).cpu().numpy().reshape(-1, rows.shape[-1])
        sums = np.einsum("rc,rc->c", flat, flat, dtype=np.float64)
        if not np.isfinite(sums).all():
            raise ArgumentError("Calibrator", repr(name), "was given NaN or an infinity")
        self.imatrix.add(name, sums, len(flat))
        self.imatrix.num_chunks = max(self.imatrix.num_chunks, int(self.imatrix.counts(name).max()))


def _weight_names(module: nn.Module) -> dict[int, str]:
    """The full name that each parameter has first, as ``quantize_`` uses it."""
    return {id(parameter): name for name, parameter in module.named_parameters()}
