"""What the coordinator knows of the model that it serves, for those who write its prompts and read its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class TokenKind(StrEnum):
    """What a token is for, as the GGUF says."""

    NORMAL = "normal"
    UNKNOWN = "unknown"
    CONTROL = "control"
    USER_DEFINED = "user_defined"
    UNUSED = "unused"
    BYTE = "byte"


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """A LoRA adapter that is added to the model."""

    name: str  # of its file, without the folder
    scale: float


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts of the served model. Set by the coordinator, from the GGUF's metadata."""

    name: str  # as `cluster status` names it
    hash: str
    architecture: str
    context_length: int  # of a slot
    context_length_train: int
    hidden_width: int
    vocab_size: int
    vocab_type: int  # libllama's number
    num_parameters: int
    size_bytes: int  # of all tensors
    file_type: str  # such as "Q4_K - Medium"; empty where the file does not say
    bos: int | None
    eos: int | None
    end_tokens: tuple[int, ...]
    add_bos: bool  # whether the vocabulary puts BOS before a text
    chat_templates: Mapping[str, str] = field(default_factory=dict)  # by name; "" is the default one
    metadata: Mapping[str, str] = field(default_factory=dict)  # general.* and {architecture}.*, single values only
    adapters: tuple[AdapterInfo, ...] = ()  # in the order in which they were given
    takes_pictures: bool = False  # prompts may have some


@dataclass(frozen=True, slots=True)
class VocabularyTable:
    """All tokens of a model. Both tuples have one item for each token."""

    pieces: tuple[bytes, ...]  # what a token adds to a text; of control tokens their name
    kinds: tuple[TokenKind, ...]
