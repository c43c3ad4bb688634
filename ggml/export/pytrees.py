"""PyTorch's trees of arguments and results, as ours."""

from __future__ import annotations

from typing import Any

from ggml.core.errors import UnsupportedOpError
from ggml.programs.trees import LEAF, Tree


def tree_of(spec: Any) -> Tree:
    """The tree of a ``TreeSpec``: named tuples are tuples, and classes of dicts are dicts.

    UnsupportedOpError for other classes: the model has to take and give their parts.
    """
    if spec.is_leaf():
        return LEAF
    items = tuple([tree_of(child) for child in _children(spec)])
    kind: Any = spec.type
    if kind is type(None):
        return Tree("none")
    if kind is list:
        return Tree("list", items)
    if isinstance(kind, type) and issubclass(kind, tuple):
        return Tree("tuple", items)
    keys = spec.context if isinstance(spec.context, (list, tuple)) else ()
    if isinstance(kind, type) and issubclass(kind, dict) and len(keys) == len(items) and _are_text(keys):
        return Tree("dict", items, tuple(keys))
    raise UnsupportedOpError(
        "lower", "ggml", f"arguments and results are tensors in tuples, lists and dicts, not {kind}"
    )


def _children(spec: Any) -> list[Any]:
    return list(spec.children() if callable(getattr(spec, "children", None)) else spec.children_specs)


def _are_text(keys: Any) -> bool:
    return all(isinstance(key, str) for key in keys)
