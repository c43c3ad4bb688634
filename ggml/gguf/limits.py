"""How large a header may be, and what it may say: the only place for such numbers.

Sizes in bytes. No real file comes near those of the first block; they bound the time and the memory that a hostile
one can take.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_HEADER_BYTES = 128 << 20
MAX_STRING_BYTES = 16 << 20
MAX_ARRAY_ITEMS = 4 << 20
MAX_KEYS = 65536
MAX_TENSORS = 1 << 20

MAX_KEY_BYTES = 65535  # GGUF specification
MAX_DIMS = 4  # GGML_MAX_DIMS
MIN_ALIGNMENT, MAX_ALIGNMENT, DEFAULT_ALIGNMENT = 8, 4096, 32
INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Rules:
    """Where readers of GGUF differ. With ``c_names``, no name is empty or holds a NUL, at which C would end it."""

    c_names: bool
    max_tensor_name_bytes: int
    min_dims: int
    min_extent: int


#: What libllama takes. GGML_MAX_NAME is 64, with the NUL.
LIBLLAMA = Rules(c_names=True, max_tensor_name_bytes=63, min_dims=1, min_extent=1)

#: What gguf-py writes: state dicts with long names, scalars, and tensors without elements.
GGUF_PY = Rules(c_names=False, max_tensor_name_bytes=65535, min_dims=0, min_extent=0)
