"""Operations of one's own, as ``torch.library``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ggml.library.custom_ops import CustomOp as CustomOp
    from ggml.library.custom_ops import custom_op as custom_op

__all__ = ["CustomOp", "custom_op"]


def __getattr__(name: str) -> Any:
    """A public name, loaded at its first use: the rules would make ``import ggml`` slower for everybody."""
    if name not in __all__:
        raise AttributeError(f"module 'ggml.library' has no attribute {name!r}")
    from ggml.library import custom_ops

    found = globals()[name] = getattr(custom_ops, name)
    return found
