"""Causal attention as libllama computes it without flash attention, to the bit.

Rows that meet a quantised matrix are rounded to 8 bits first. Where a sum before it differs in its last bit, the
rounding may, and what was 1e-7 is 1e-2 some layers later: so sums have to be in the order that libllama's graph has.
"""

from __future__ import annotations

from ggml.nn import functional
from ggml.nn.attention import SDPBackend, sdpa_kernel
from ggml.tensors.tensor import Tensor

#: Keys come in multiples of so many, the widest vectors of ggml's kernels; libllama's cache has multiples of 256. The
#: last elements of other numbers are summed by themselves, and their exponents are another function's.
_KEYS = 16


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Query [B, H, T, E], key [B, K, T, E] and value [B, K, T, Ev] become [B, H, T, Ev].

    libllama's queries lie with gaps, which ggml's faster product of matrices does not take, and the plain one sums in
    another order. Rows that are longer by a 0 keep it away here: it wants rows of whole vectors
    (``tinyBLAS::matmul`` in ggml-cpu/llamafile/sgemm.cpp).
    """
    wide, missing = (0, 1), -query.shape[-2] % _KEYS
    key = functional.pad(key, (*wide, 0, missing))  # keys behind the last query, which none sees
    if missing:
        value = functional.pad(value, (0, 0, 0, missing))
    with sdpa_kernel(SDPBackend.MATH):
        return functional.scaled_dot_product_attention(
            functional.pad(query, wide), key, value, is_causal=True, scale=scale, enable_gqa=True
        )
