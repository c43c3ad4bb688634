"""How a server says, beside its proof, that requests outlive its process: a client then asks its successor to go on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_KEY = "ggml-cluster-keeps"
KEEPS = ((_KEY, "requests"),)


def keeps_requests(metadata: Iterable[Any] | None) -> bool:
    """Whether the initial metadata of an answer says so."""
    return any((key, value) in KEEPS for key, value in metadata or ())
