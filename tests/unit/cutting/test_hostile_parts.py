"""Whatever a file says of parts, blocks and shared layers: it is refused, or slices take bytes of its tensors alone."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise

from cluster.api.errors import ClusterError
from cluster.cutting.boundary import boundaries
from cluster.cutting.cut import cut
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.header import Header
from cluster.cutting.model import Model
from cluster.cutting.rules import check
from cluster.cutting.sizes import model_sizes
from cluster.store.transfer import wanted_pieces
from ggml.gguf.tensor_types import tensor_type
from ggml.gguf.value import uint32
from tests.native.architectures_page import header_of

NAMES = ("gemma4-both", "gemma4-parts", "kimi-k3-blocks", "gemma3n-dense")
KEYS = [
    "attn_res.block_size",
    "attention.shared_kv_layers",
    "embedding_length_per_layer_input",
    "leading_dense_block_count",
    "feed_forward_length",
    "block_count",
    "nextn_predict_layers",
    "attention.sliding_window_pattern",
    "embedding_length",
]
NUMBERS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 32, 64, 128, 256, 2**31, 2**32 - 1)
F16 = tensor_type("f16")


def mutated(header: Header, rng: random.Random) -> Header:
    """With other numbers in some keys, and perhaps a tensor of another shape or type."""
    keys = {f"{header.architecture}.{rng.choice(KEYS)}": uint32(rng.choice(NUMBERS)) for _ in range(rng.randint(1, 2))}
    tensors = list(header.tensors)
    if rng.random() < 0.5:
        outside = [index for index, info in enumerate(tensors) if not info.name.startswith("blk.")]
        index = rng.choice(outside)
        info, kind = tensors[index], rng.choice([tensors[index].type, tensor_type("q8_0"), tensor_type("q4_K")])
        shape = tuple(rng.choice([size, size, max(1, size // 2), size * 2]) for size in info.shape)
        if math.prod(shape) % kind.block_size == 0:
            tensors[index] = replace(info, shape=shape, type=kind, size_bytes=kind.row_bytes(math.prod(shape)))
    return replace(header, metadata={**header.metadata, **keys}, tensors=tuple(tensors))


def check_slices(model: Model, rng: random.Random) -> None:
    cuts = sorted(rng.sample(legal_cuts(model), min(len(legal_cuts(model)), 2)))
    start = model.header.data_start
    spans = [(start + info.offset, start + info.offset + info.size_bytes) for info in model.header.tensors]
    for first, end in pairwise([0, *cuts, model.num_layers]):
        for piece in wanted_pieces(cut(model, first, end)):
            assert any(begin <= piece.begin and piece.end <= stop for begin, stop in spans), piece


def test_slices_take_bytes_of_tensors_alone() -> None:
    rng, outcomes = random.Random(11), Counter[str]()
    for _ in range(30):
        header = mutated(header_of(rng.choice(NAMES)), rng)
        try:
            model = check(header)
        except ClusterError:
            outcomes["refused"] += 1
            continue
        model_sizes(model, 64, F16, F16, 2)
        boundaries(model, range(1, model.num_layers))
        check_slices(model, rng)
        outcomes["cut" if legal_cuts(model) else "whole"] += 1
    assert outcomes["cut"] > 4
    assert outcomes["refused"] > 4
