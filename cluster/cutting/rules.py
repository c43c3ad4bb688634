"""Which models can be cut: every tensor has a place, every key a meaning, and the architecture a row.

RULES_VERSION changes whenever a rule changes what a slice file holds, so that no old slice is taken from a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cluster.api.errors import UnsupportedModelError
from cluster.cutting import layer_parts, per_layer
from cluster.cutting.architectures import ARCHITECTURES, Architecture
from cluster.cutting.boundary import num_parts
from cluster.cutting.cuts import find_places
from cluster.cutting.header import Header
from cluster.cutting.limits import check_limits
from cluster.cutting.model import Model
from ggml.gguf.encode import ALIGNMENT
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType

RULES_VERSION = 4
MAX_LAYERS = 512  # LLAMA_MAX_LAYERS; libllama asserts on more
# The richest layer known has 56, each perhaps with a bias or scales. ggml
# compares each name with all before it, which takes a minute for 100,000.
MAX_TENSORS_OF_LAYER = 128
MAX_TENSORS = 16384

TOKEN_EMBEDDING = "token_embd.weight"
OUTPUT = "output.weight"
OUTPUT_BIAS = "output.bias"

# Tensors outside the layers, by the first part of their name: who reads them.
EVERYWHERE = ("rope_freqs", "rope_factors_long", "rope_factors_short")
FIRST = ("token_embd", "token_embd_norm", "position_embd")
NGRAM = ("per_layer_token_embd",)  # the slice with the layer that reads it
PARTS = (layer_parts.TABLE, layer_parts.PRODUCT)  # each slice has those of its layers
OF_PARTS = ("per_layer_proj_norm", "altup_proj")  # read everywhere beside these
LAST = (
    "output",
    "output_norm",
    "output_hc_fn",
    "output_hc_base",
    "output_hc_scale",
    "output_hc_norm",
    "output_hc_down",
    "output_hc_up",
    "output_res_score",
    "altup_unembd_proj",
    "cls",
)

# The graph takes layer 0's value for all layers, and a slice's layer 0 is another layer: they have to be equal.
_UNIFORM_KEYS = (
    "attention.head_count",
    "attention.head_count_kv",
    "feed_forward_length",
    "expert_used_count",
    "expert_feed_forward_length",
)
_UNSPECIFIED = 0xFFFFFFFF
_POOLING_TYPES = (0, 1, 2, 3, 4)  # none, mean, the first row, the last row, scores: llama_pooling_type


def check(header: Header) -> Model:
    """The model of a header, once for each opening of it.

    UnsupportedModelError where its architecture cannot be served, ModelFileError where it contradicts itself. A model
    that can only be served whole passes: its places say why it may not be cut.
    """
    architecture = header.architecture
    row = _row(header)
    if not 1 <= header.num_layers <= MAX_LAYERS:
        raise header.error(f"{architecture}.block_count", f"{header.num_layers} is not in 1..{MAX_LAYERS}")
    _check_kind(header, row)
    check_limits(header, row)
    arrays = per_layer.arrays(header)
    _check_arrays(header, row, arrays)
    part_width = layer_parts.check_parts(header, row)
    if part_width:
        row = replace(row, inputs=(*row.inputs, row.parts_input))
    block_size = header.uint32(f"{architecture}.{row.blocks}", 0) if row.blocks else 0
    model = Model(
        header=header,
        architecture=architecture,
        row=row,
        num_layers=header.num_layers,
        hidden_width=header.hidden_width,
        row_width=header.hidden_width * _num_streams(header, row) * num_parts(row, header.num_layers, block_size),
        vocab_size=_check_tensors(header, row),
        arrays=arrays,
        sliding=per_layer.sliding(header, row),
        recurrent=per_layer.recurrent(header, row),
        attends=per_layer.attends(header, row),
        part_width=part_width,
        num_shared=per_layer.num_shared(header, row),
        block_size=block_size,
        places=(),
    )
    return replace(model, places=find_places(model))  # they follow from all the rest


def layer_of(name: str) -> tuple[int, str] | None:
    """(3, "attn_q.weight") for "blk.3.attn_q.weight", None for a tensor outside the layers."""
    prefix, _, rest = name.partition(".")
    number, _, suffix = rest.partition(".")
    if prefix != "blk" or not (number.isascii() and number.isdecimal()) or not suffix or str(int(number)) != number:
        return None
    return int(number), suffix


def layer_in(name: str, row: Architecture) -> tuple[int, str] | None:
    """The same of an architecture that has other words in front of a layer's number: `Architecture.layer_words`."""
    return layer_of(
        next((f"blk{name[len(begin) :]}" for begin in row.layer_words if name.startswith(f"{begin}.")), name)
    )


def place_of(name: str, row: Architecture) -> tuple[str, ...] | None:
    """EVERYWHERE, FIRST or LAST: who reads a tensor outside the layers; None if no rule says so."""
    head = name.partition(".")[0]
    if head == row.norm:
        return LAST
    if row.parts and head in (*PARTS, *OF_PARTS):
        return PARTS if head in PARTS else EVERYWHERE
    return next((place for place in (EVERYWHERE, FIRST, NGRAM, LAST) if head in place), None)


def _refusal(header: Header, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{header.path}: architecture {header.architecture!a} cannot be cut: {why}")


def _row(header: Header) -> Architecture:
    row = ARCHITECTURES.get(header.architecture)
    if row is None:
        known = ", ".join(sorted(name for name, row in ARCHITECTURES.items() if not row.refusal))
        raise _refusal(header, f"nobody has read how it computes; known are {known}")
    if row.refusal:
        raise _refusal(header, row.refusal)
    return row


def _check_kind(header: Header, row: Architecture) -> None:
    architecture = header.architecture
    kind = header.get("general.type", ValueType.STRING) or "model"
    if kind != "model":
        raise _refusal(header, f"general.type is {kind!a}, not 'model'")
    if any(key.startswith("ggml_cluster.slice.") for key in header.metadata):
        raise _refusal(header, "the file is itself a slice; use the model it was cut from")
    for name, (is_so, why) in row.refused_if.items():
        key = f"{architecture}.{name}"
        if key in header.metadata and is_so(header.uint32(key)):
            raise _refusal(header, f"{why} ({key} is {header.uint32(key)})")
    pooling = header.uint32(f"{architecture}.pooling_type", _UNSPECIFIED)
    if pooling not in (*_POOLING_TYPES, _UNSPECIFIED):
        raise _refusal(header, f"its pooling_type is {pooling}; known are {', '.join(map(str, _POOLING_TYPES))}")
    if header.get(f"{architecture}.attention.causal", ValueType.BOOL) is False and not row.is_encoder:
        raise _refusal(header, "its attention is not causal")
    if "general.tensor_extra.name" in header.metadata:
        raise _refusal(header, "it sets the precision of single tensors (general.tensor_extra)")
    if header.alignment < ALIGNMENT:
        raise _refusal(header, f"general.alignment is {header.alignment}, libllama maps multiples of {ALIGNMENT} only")


def _num_streams(header: Header, row: Architecture) -> int:
    if not row.streams:
        return 1
    key = f"{header.architecture}.{row.streams}"
    if not 1 <= header.uint32(key) <= 64:
        raise header.error(key, f"{header.uint32(key)} residual streams, must be 1..64")
    return header.uint32(key)


def _check_arrays(header: Header, row: Architecture, arrays: Mapping[str, MetadataValue]) -> None:
    prefix = f"{header.architecture}."
    for name in () if row.heads_vary else _UNIFORM_KEYS:
        varying = arrays.get(prefix + name)
        if varying is not None and len(set(per_layer.numbers(header, name))) > 1:
            raise _refusal(header, f"{prefix}{name} differs from layer to layer")


def _check_tensors(header: Header, row: Architecture) -> int:
    """Each tensor has a place, each layer has tensors; returns the vocabulary size."""
    layers = set()
    num_all = header.num_layers + header.num_nextn_layers
    limit = min(num_all * MAX_TENSORS_OF_LAYER, MAX_TENSORS)
    if len(header.tensors) > limit:
        raise header.error(
            "tensor count", f"{len(header.tensors)} tensors in {num_all} layers, at most {limit} are known"
        )
    for info in header.tensors:
        found = layer_in(info.name, row)
        if found is None and not row.whole and place_of(info.name, row) is None:
            raise _refusal(header, f"no rule says where tensor {info.name!a} belongs")
        if found is not None and found[0] >= num_all:
            raise header.error(f"tensor {info.name!a}", f"the model has only {num_all} layers")
        if found is not None:
            layers.add(found[0])
    missing = set(range(header.num_layers)) - layers
    if missing:
        raise header.error(f"tensor 'blk.{min(missing)}.*'", "missing")
    return _vocab_size(header)


def _vocab_size(header: Header) -> int:
    shapes = {info.name: info.shape for info in header.tensors}
    if TOKEN_EMBEDDING not in shapes:
        raise header.error(f"tensor {TOKEN_EMBEDDING!r}", "missing")
    embedding, width = shapes[TOKEN_EMBEDDING], header.hidden_width
    if len(embedding) != 2 or embedding[1] != width or embedding[0] > 2**31 - 1:
        raise header.error(f"tensor {TOKEN_EMBEDDING!r}", f"shape {embedding}, must be (vocabulary, {width})")
    if shapes.get(OUTPUT, embedding) != embedding:
        raise header.error(f"tensor {OUTPUT!r}", f"shape {shapes[OUTPUT]}, must be {embedding}")
    tokens = header.get("tokenizer.ggml.tokens", ValueType.ARRAY)
    if isinstance(tokens, MetadataArray) and tokens.count != embedding[0]:
        raise header.error("tokenizer.ggml.tokens", f"{tokens.count} tokens for {embedding[0]} embeddings")
    return embedding[0]
