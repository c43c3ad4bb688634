"""Serve a GGUF model that is too large for one device, and ask it for text.

    >>> import cluster
    >>> client = cluster.connect()
    >>> client.generate("Once upon a time", max_tokens=32).text

What is listed here is the public API. It is loaded on first use: ``import cluster`` alone is cheap.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # that of `typing`, which takes longer to import than all else here
if TYPE_CHECKING:
    from typing import Any

    __version__: str

    from cluster.async_client import AsyncClient as AsyncClient
    from cluster.client import Client as Client
    from cluster.client import connect as connect
    from cluster.errors import CancelledError as CancelledError
    from cluster.errors import CapacityError as CapacityError
    from cluster.errors import ClusterError as ClusterError
    from cluster.errors import HandshakeError as HandshakeError
    from cluster.errors import ModelFileError as ModelFileError
    from cluster.errors import StageLostError as StageLostError
    from cluster.errors import UnauthenticatedError as UnauthenticatedError
    from cluster.errors import UnreachableError as UnreachableError
    from cluster.errors import UnsupportedModelError as UnsupportedModelError
    from cluster.errors import UsageError as UsageError
    from cluster.messages import Completion as Completion
    from cluster.messages import TokenEvent as TokenEvent
    from cluster.sampling import SamplingParams as SamplingParams

_MODULES = {
    "AsyncClient": "cluster.async_client",
    "CancelledError": "cluster.errors",
    "CapacityError": "cluster.errors",
    "Client": "cluster.client",
    "ClusterError": "cluster.errors",
    "Completion": "cluster.messages",
    "HandshakeError": "cluster.errors",
    "ModelFileError": "cluster.errors",
    "SamplingParams": "cluster.sampling",
    "StageLostError": "cluster.errors",
    "TokenEvent": "cluster.messages",
    "UnauthenticatedError": "cluster.errors",
    "UnreachableError": "cluster.errors",
    "UnsupportedModelError": "cluster.errors",
    "UsageError": "cluster.errors",
    "connect": "cluster.client",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("ggml-cluster")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
