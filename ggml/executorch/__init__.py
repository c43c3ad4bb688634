"""ggml as a backend of ExecuTorch: parts of a ``.pte`` program that ggml runs, ahead of time and in its runtime.

Needs the package ``executorch`` (the extra of that name). What partitions and lowers is Python; what runs is a library
that ``python -m ggml.executorch.build`` compiles once for this machine, and ``register`` loads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ggml.executorch.backend import GgmlBackend as GgmlBackend
    from ggml.executorch.library import register as register
    from ggml.executorch.partitioner import GgmlPartitioner as GgmlPartitioner

__all__ = ["GgmlBackend", "GgmlPartitioner", "register"]

# ExecuTorch and torch take seconds to import, and who only asks for help needs neither.
_HOMES = {"GgmlBackend": "backend", "GgmlPartitioner": "partitioner", "register": "library"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found
