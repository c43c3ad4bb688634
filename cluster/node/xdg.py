"""Where this user's files of the project lie, as the XDG base directory specification asks."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """$XDG_CACHE_HOME/ggml-cluster/`name`, with ~/.cache where it is unset or relative."""
    return _base("XDG_CACHE_HOME", ".cache") / name


def state_file(name: str) -> Path:
    """$XDG_STATE_HOME/ggml-cluster/`name`, with ~/.local/state where it is unset or relative."""
    return _base("XDG_STATE_HOME", ".local/state") / name


def _base(variable: str, in_home: str) -> Path:
    given = Path(os.environ.get(variable, ""))
    return (given if given.is_absolute() else Path.home() / in_home) / "ggml-cluster"
