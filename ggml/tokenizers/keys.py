"""What GGUF says of a tokenizer: the keys, and a file that has nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from ggml.gguf.encode import encode_header
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType, string

PREFIX = "tokenizer."
MODEL = "tokenizer.ggml.model"
TOKENS = "tokenizer.ggml.tokens"
TEMPLATE = "tokenizer.chat_template"  # the default one; others are TEMPLATE.NAME

#: libllama looks for "phi-3" in it: some tokens of theirs take the spaces behind them.
_NAME = "general.name"

#: What a file without a tokenizer says, if it says anything.
NONE = "none"


def tokenizer_keys(metadata: Mapping[str, MetadataValue]) -> dict[str, MetadataValue]:
    """Those that are about the tokenizer, chat templates among them; none where there is no tokenizer."""
    kind = metadata.get(MODEL)
    if kind is None or kind.value == NONE or TOKENS not in metadata:
        return {}
    return {key: value for key, value in metadata.items() if key.startswith(PREFIX) or key == _NAME}


def num_tokens(keys: Mapping[str, MetadataValue]) -> int:
    """How many the vocabulary has."""
    found = keys[TOKENS].value
    return found.count if isinstance(found, MetadataArray) and found.element_type is ValueType.STRING else 0


def as_vocabulary(keys: Mapping[str, MetadataValue]) -> dict[str, MetadataValue]:
    """The metadata of a file that libllama takes a vocabulary from: it wants an architecture that it knows, and reads
    nothing of that."""
    return {"general.architecture": string("llama"), **keys}


def vocabulary_file(keys: Mapping[str, MetadataValue]) -> bytes:
    """Such a file, whole."""
    return encode_header(as_vocabulary(keys), ())
