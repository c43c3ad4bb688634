"""How attention is computed, as in ``torch.nn.attention``."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ggml.core.errors import ArgumentError
from ggml.ops.nn.attention import KERNEL

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.IntEnum):
    """Ways to compute ``scaled_dot_product_attention``."""

    MATH = 0  # two products of matrices and a softmax
    FLASH_ATTENTION = 1  # one pass over keys and values; masks and 16-bit values are summed in float16


@contextmanager
def sdpa_kernel(backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False) -> Iterator[None]:
    """Compute attention in one way until the end of the block. Both ways, or none of these, leave it to ggml."""
    wanted = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not wanted or any(not isinstance(one, SDPBackend) for one in wanted):
        raise ArgumentError("sdpa_kernel", "backends", "must be at least one SDPBackend")
    chosen = "auto" if len(set(wanted)) > 1 else "math" if wanted[0] is SDPBackend.MATH else "flash"
    token = KERNEL.set(chosen)
    try:
        yield
    finally:
        KERNEL.reset(token)
