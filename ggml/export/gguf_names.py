"""What llama.cpp calls the weights of models of transformers, and in what order it stores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError
from ggml.io.mapped import Mapped

# Positions turn neighbours of a head in llama.cpp, and the halves of a head in transformers: rows of queries and keys
# have another order in its files.
_ROTATED = frozenset({"llama"})

# Their norms multiply by 1 and the weight in transformers, and by the stored weight in llama.cpp.
_ONE_IN_NORMS = frozenset({"gemma", "gemma2", "gemma3"})

# Rows of queries: far more than any model has.
_MOST_ROWS = 1 << 22

#: Architectures whose other tensors are the same in both.
ARCHITECTURES = tuple(sorted({"llama", "qwen2", "qwen3", "phi3", *_ONE_IN_NORMS}))


class Naming:
    """How a GGUF file of llama.cpp names the weights of a model. ArgumentError for an unknown architecture."""

    def __init__(self, file: Mapped) -> None:
        self._metadata = file.header.metadata
        self.architecture = str(self._number("general.architecture", ""))
        if self.architecture not in ARCHITECTURES:
            why = (
                f"is a file of the architecture {self.architecture[:40]!r}, whose names are not known; give names=, "
                f"from those of the program to those of the file; known are {', '.join(ARCHITECTURES)}"
            )
            raise ArgumentError("lower", "weights", why)
        self._map = _map_of(self.architecture, self._count("block_count"))

    def names(self, name: str) -> Iterator[str]:
        """What the file may call a weight, whose module may be part of another. A head may be the embedding."""
        parts = name.split(".")
        for first in range(len(parts)):
            found = self._map.get_name(".".join(parts[first:]), try_suffixes=(".weight", ".bias"))
            if found is not None:
                yield str(found)
                if found == "output.weight":
                    yield "token_embd.weight"
                return

    def rows(self, stored: str) -> NDArray[np.intp] | None:
        """The order in which the rows of a stored matrix are those of the model; None for as they are."""
        which = next((kind for kind in ("attn_q.", "attn_k.") if f".{kind}" in stored), None)
        if self.architecture not in _ROTATED or which is None:
            return None
        queries = self._count("attention.head_count")
        heads = queries if which == "attn_q." else self._count("attention.head_count_kv", queries)
        width = self._count("attention.key_length", self._count("embedding_length") // max(queries, 1))
        if width % 2 or heads * width > _MOST_ROWS:
            raise ArgumentError("lower", "weights", f"has {heads} heads of {width} for {stored}, which no model has")
        places: NDArray[np.intp] = np.arange(heads * width, dtype=np.intp).reshape(heads, width // 2, 2)
        return places.swapaxes(1, 2).reshape(-1)

    def adds_one(self, stored: str) -> bool:
        """Whether the stored weight is that of the model and 1."""
        return self.architecture in _ONE_IN_NORMS and stored.endswith("norm.weight")

    def _number(self, key: str, default: Any) -> Any:
        found = self._metadata.get(key)
        return default if found is None else found.value

    def _count(self, key: str, default: int = 0) -> int:
        found = self._number(f"{self.architecture}.{key}", default)
        if type(found) is not int or not 0 <= found < 1 << 20:
            raise ArgumentError("lower", "weights", f"has no usable {self.architecture}.{key}")
        return found


def _map_of(architecture: str, num_blocks: int) -> Any:
    import gguf  # takes a while to import

    kinds: Mapping[str, Any] = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    make: Callable[[Any, int], Any] = gguf.get_tensor_name_map
    return make(kinds[architecture], min(num_blocks, 1 << 12))
