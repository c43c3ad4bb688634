"""What clients are told of the model: facts of its file and of its vocabulary, made to fit."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cluster.api.model import ModelInfo, TokenKind, VocabularyTable
from cluster.coordinator.spec import CoordinatorSpec
from cluster.coordinator.tokenizing.token_table import TokenTable
from cluster.cutting.file_types import FILE_TYPES
from cluster.cutting.header import Header, read_header
from cluster.wire import limits
from cluster.wire.limits import fit_text
from ggml.gguf.value import MetadataArray
from ggml.tokenizers.keys import TEMPLATE

TOOL_TEMPLATE = "tool_use"  # the one that others are left out for
_KINDS = tuple(TokenKind)  # GGUF numbers them in this order, from 1


def model_info(spec: CoordinatorSpec, path: str | os.PathLike[str], table: TokenTable) -> ModelInfo:
    """Facts of the model whose metadata the file at `path` has. ModelFileError if that is none."""
    header = read_header(path)
    metadata = dict(_single_values(header, spec.architecture))
    return ModelInfo(
        name=spec.model,
        hash=spec.model_hash,
        architecture=spec.architecture,
        context_length=spec.context_length,
        context_length_train=_count(header, f"{spec.architecture}.context_length", limits.MAX_CONTEXT),
        hidden_width=_count(header, f"{spec.architecture}.embedding_length", limits.MAX_HIDDEN_WIDTH),
        vocab_size=table.num_tokens,
        vocab_type=table.vocab_type,
        num_parameters=spec.num_parameters,
        size_bytes=spec.weight_bytes,
        file_type=FILE_TYPES.get(_count(header, "general.file_type", limits.MAX_INT32, -1), ""),
        bos=table.bos,
        eos=table.eos,
        end_tokens=tuple(sorted(table.end_tokens)),
        add_bos=table.adds_bos,
        chat_templates=dict(_templates(header)),
        metadata=metadata,
        adapters=spec.adapters,
        takes_pictures=spec.mmproj is not None,
    )


def vocabulary_table(table: TokenTable) -> VocabularyTable:
    """All tokens, with the names of control tokens."""
    pieces = tuple(table.names.get(token, piece) for token, piece in enumerate(table.pieces))
    return VocabularyTable(pieces, tuple(_KINDS[kind - 1] for kind in table.kinds))


def _count(header: Header, key: str, high: int, otherwise: int = 0) -> int:
    """A whole number in [0, high]; `otherwise` where the file has none."""
    found = header.metadata.get(key)
    value = None if found is None else found.value
    return value if isinstance(value, int) and 0 <= value <= high else otherwise


def _templates(header: Header) -> Iterator[tuple[str, str]]:
    """Chat templates by name, "" for the default one. One that is too long is cut, but not so far that it fits."""
    found = {}
    for key, value in header.metadata.items():
        if isinstance(value.value, str) and (key == TEMPLATE or key.startswith(f"{TEMPLATE}.")):
            name = key.removeprefix(TEMPLATE).removeprefix(".")
            if len(name) <= limits.MAX_NAME_CHARS:
                found[name] = value.value[: limits.MAX_TEMPLATE_CHARS + 1]
    first = [name for name in ("", TOOL_TEMPLATE) if name in found]
    names = [*first, *(name for name in found if name not in first)]
    return ((name, found[name]) for name in names[: limits.MAX_TEMPLATES])


def _single_values(header: Header, architecture: str) -> Iterator[tuple[str, str]]:
    """The first MAX_METADATA keys general.* and those of the architecture that are no arrays, as text."""
    num_found = 0
    for key, value in header.metadata.items():
        is_meant = key.startswith(("general.", f"{architecture}.")) and len(key) <= limits.MAX_NAME_CHARS
        if not is_meant or isinstance(value.value, MetadataArray) or num_found == limits.MAX_METADATA:
            continue
        num_found += 1
        yield key, fit_text(str(value.value).lower() if isinstance(value.value, bool) else str(value.value))
