"""A module as text, in PyTorch's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ggml.nn.module.module import Module


def indented(text: str) -> str:
    """Every line but the first two places further in."""
    return text.replace("\n", "\n  ")


def text(module: Module) -> str:
    """``Name(extra)``, or the modules below it each on lines of their own."""
    extra = module.extra_repr()
    children = [f"({name}): {indented(repr(child))}" for name, child in module._modules.items()]
    name = module._get_name()
    if not children and "\n" not in extra:
        return f"{name}({extra})"
    lines = [*extra.split("\n"), *children] if extra else children
    return f"{name}(\n  " + "\n  ".join(lines) + "\n)"
