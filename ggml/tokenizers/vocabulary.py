"""libllama's tokenizer, of keys instead of a file."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ggml.gguf.value import MetadataValue
from ggml.tokenizers.keys import vocabulary_file
from worker_native import Vocab


def vocabulary_of(keys: Mapping[str, MetadataValue]) -> Vocab:
    """ValueError or RuntimeError for keys that it cannot use."""
    descriptor = os.memfd_create("ggml-vocabulary")
    with open(descriptor, "wb") as file:
        file.write(vocabulary_file(keys))
        file.flush()
        return Vocab(f"/proc/self/fd/{descriptor}")
