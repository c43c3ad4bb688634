"""What is made on the host must not take all of its memory."""

from __future__ import annotations

from ggml.core.errors import ArgumentError

_MAX_ELEMENTS = 1 << 27


def on_host(op: str, argument: str, num_elements: int) -> None:
    """ArgumentError if so many elements are more than what is worth to be made on the host."""
    if num_elements > _MAX_ELEMENTS:
        raise ArgumentError(op, argument, f"is too large: {num_elements} elements would be made on the host")
