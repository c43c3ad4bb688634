"""Models with an encoder and a decoder: the first slice has all of the encoder, the decoder's layers are cut.

In libllama each decoder layer reads what its own context's encoder left. The encoder of a later slice is of zeros, and
is not computed: what comes along with the rows is written where it would leave them (slice/encoded_rows.h). It has as
many layers as the slice, because libllama keeps keys and values for as many layers as the encoder has.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.cutting.model import Model
from cluster.cutting.planned import PlannedTensor, copied, small_zeros
from cluster.cutting.stand_ins import small_type
from ggml.gguf.header import TensorInfo
from ggml.gguf.value import MetadataValue, uint32

ENCODER, DECODER = "enc", "dec"
# Biases by distance; libllama takes those of layer 0 for layers that have none.
_BIAS = "attn_rel_b.weight"

Layers = dict[int, dict[str, TensorInfo]]  # number of the layer -> rest of the name -> tensor


def is_of_encoder(name: str) -> bool:
    return name.startswith(f"{ENCODER}.")


def stack_keys(model: Model, first: int, end: int) -> dict[str, MetadataValue]:
    """How many layers encoder and decoder have in the file of the slice [first, end)."""
    num_encoder_layers = model.header.num_layers if first == 0 else end - first
    return {
        model.key("block_count"): uint32(num_encoder_layers),
        model.key("decoder_block_count"): uint32(end - first),
    }


def layer_tensors(model: Model, first: int, end: int) -> Iterator[PlannedTensor]:
    """The layers of both in the file of the slice [first, end), which is not the whole model."""
    header, decoder, encoder = model.header, _layers(model, DECODER), _layers(model, ENCODER)
    for tensors in encoder.values() if first == 0 else ():
        yield from (copied(header, info) for info in tensors.values())
    for number in range(end - first) if first else ():
        for suffix, info in encoder.get(number, {}).items():
            yield small_zeros(f"{ENCODER}.blk.{number}.{suffix}", info.shape, small_type(suffix, info))
    for number, layer in enumerate(range(first, end)):
        tensors = decoder.get(layer, {})
        if first and _BIAS not in tensors:
            tensors = tensors | {_BIAS: decoder[0][_BIAS]}
        for suffix, info in tensors.items():
            yield copied(header, info, f"{DECODER}.blk.{number}.{suffix}")


def _layers(model: Model, stack: str) -> Layers:
    found: Layers = {}
    for info in model.header.tensors:
        begin, _, rest = info.name.partition(".blk.")
        number, _, suffix = rest.partition(".")
        if begin == stack and number.isdecimal():
            found.setdefault(int(number), {})[suffix] = info
    return found
