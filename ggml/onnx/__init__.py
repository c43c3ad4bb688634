"""ONNX: models of files that run here, and models from here as files.

Needs the package ``onnx`` (the extra of that name), and only where ``load`` or ``export`` is called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ggml.core.errors import UnsupportedOpError

if TYPE_CHECKING:
    from ggml.onnx.exporting.export import export as export
    from ggml.onnx.loading.load import load as load
    from ggml.onnx.loading.module import OnnxModule as OnnxModule

__all__ = ["OnnxModule", "export", "load"]

# Loaded at their first use: ``import ggml`` must not wait for a package that most never need.
_HOMES = {"OnnxModule": "loading.module", "export": "exporting.export", "load": "loading.load"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        hint = "it needs the package onnx: pip install 'ggml-cluster[onnx]'"
        raise UnsupportedOpError(f"onnx.{name}", "this installation", hint) from error
    return found
