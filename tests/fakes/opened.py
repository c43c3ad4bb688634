"""Models of local files as a node has them: opened and checked."""

from __future__ import annotations

import os

from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.store.opened import OpenModel


def opened(path: str | os.PathLike[str]) -> OpenModel:
    """The model in the file at `path`, or in the parts that it is the first of."""
    return open_model(resolve(os.fspath(path)))
