"""Serve a GGUF model that is too large for one device, and ask it for text.

    >>> import cluster
    >>> client = cluster.connect()
    >>> client.generate("Once upon a time", max_tokens=32).text

What is listed here is the public API. It is loaded on first use: ``import cluster`` alone is cheap.
"""

from __future__ import annotations

import os
from importlib import import_module

# gRPC reads it when it is loaded. Its own resolver asks DNS servers even for a name that /etc/hosts has, and each
# connection to one took 11 s where no server answers.
os.environ.setdefault("GRPC_DNS_RESOLVER", "native")

TYPE_CHECKING = False  # that of `typing`, which takes longer to import than all else here
if TYPE_CHECKING:
    from typing import Any

    __version__: str

    from cluster.api.errors import CancelledError as CancelledError
    from cluster.api.errors import CapacityError as CapacityError
    from cluster.api.errors import ClusterError as ClusterError
    from cluster.api.errors import ContextOverflowError as ContextOverflowError
    from cluster.api.errors import HandshakeError as HandshakeError
    from cluster.api.errors import ModelFileError as ModelFileError
    from cluster.api.errors import StageLostError as StageLostError
    from cluster.api.errors import UnauthenticatedError as UnauthenticatedError
    from cluster.api.errors import UnreachableError as UnreachableError
    from cluster.api.errors import UnsupportedModelError as UnsupportedModelError
    from cluster.api.errors import UsageError as UsageError
    from cluster.api.prompt import Segment as Segment
    from cluster.api.results import Completion as Completion
    from cluster.api.results import TokenEvent as TokenEvent
    from cluster.api.sampling import SamplingParams as SamplingParams
    from cluster.chat.answer import Answer as Answer
    from cluster.chat.messages import Message as Message
    from cluster.chat.messages import ResponseFormat as ResponseFormat
    from cluster.chat.messages import Tool as Tool
    from cluster.chat.messages import ToolCall as ToolCall
    from cluster.chat.messages import ToolChoice as ToolChoice
    from cluster.client.aio import AsyncClient as AsyncClient
    from cluster.client.sync import Client as Client
    from cluster.client.sync import connect as connect

_MODULES = {
    "Answer": "cluster.chat.answer",
    "AsyncClient": "cluster.client.aio",
    "CancelledError": "cluster.api.errors",
    "CapacityError": "cluster.api.errors",
    "Client": "cluster.client.sync",
    "ClusterError": "cluster.api.errors",
    "Completion": "cluster.api.results",
    "ContextOverflowError": "cluster.api.errors",
    "HandshakeError": "cluster.api.errors",
    "Message": "cluster.chat.messages",
    "ModelFileError": "cluster.api.errors",
    "ResponseFormat": "cluster.chat.messages",
    "SamplingParams": "cluster.api.sampling",
    "Segment": "cluster.api.prompt",
    "StageLostError": "cluster.api.errors",
    "TokenEvent": "cluster.api.results",
    "Tool": "cluster.chat.messages",
    "ToolCall": "cluster.chat.messages",
    "ToolChoice": "cluster.chat.messages",
    "UnauthenticatedError": "cluster.api.errors",
    "UnreachableError": "cluster.api.errors",
    "UnsupportedModelError": "cluster.api.errors",
    "UsageError": "cluster.api.errors",
    "connect": "cluster.client.sync",
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
