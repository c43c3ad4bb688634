"""The metadata of a slice: the model's keys for the slice's layers, and its role in keys of our own.

ggml_cluster.slice.first, .end, .num_layers, .vocab_size   uint32; the last two are the whole model's
ggml_cluster.slice.hidden_width                            uint32; floats per token between slices
ggml_cluster.slice.inputs, .outputs                        where those enter the graph and leave it (slice/boundary.h)
ggml_cluster.slice.in_front                                uint32; layers of zeros in front of its own
ggml_cluster.slice.scaled, .scales, .derived_scales        factors of its layers, where libllama would derive others
                                                           (slice/layer_scales.h): names, and float32s, one per layer
ggml_cluster.slice.window, .slides                         uint32, uint32s, one per layer; windows of its layers, where
                                                           its graph would have none (slice/windows.h)
ggml_cluster.slice.rope_mode, .logit_scale                 uint32, float32; what its graph would not do by itself
                                                           (slice/boundary.h)
ggml_cluster.slice.model_hash                              string; what cluster.store.fingerprint says of the source
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cluster.cutting import per_layer
from cluster.cutting.boundary import entries, exits
from cluster.cutting.layers import LEADING_KEYS, SliceLayer, num_in_front, num_leading
from cluster.cutting.model import Model
from cluster.cutting.rounding import rounded_keys
from cluster.cutting.scales import scale_keys
from cluster.cutting.stand_ins import FEED_FORWARD_WIDTH, are_narrow
from cluster.cutting.two_stacks import stack_keys
from ggml.gguf.value import (
    SCALAR_BYTES,
    MetadataArray,
    MetadataValue,
    ValueType,
    float32,
    string,
    string_array,
    uint32,
    uint32_array,
)

_EXPERT_SOFTMAX, _EXPERT_SIGMOID = 1, 2  # llama_expert_gating_func_type

Keys = dict[str, MetadataValue]


def slice_vocab_size(model: Model, first: int, end: int) -> int:
    """The true size for a slice that reads tokens or has the head: libllama checks shapes against it."""
    is_inner = first > 0 and end < model.num_layers and not _reads_tokens(model, first, end)
    return model.row.min_tokens if is_inner else model.vocab_size


def _reads_tokens(model: Model, first: int, end: int) -> bool:
    """Whether layers of the slice choose their experts, an embedding of their own, or an adapter by the token."""
    num_hashed = model.header.uint32(model.key("hash_layer_count"), 0)
    is_always = bool(model.part_width) or model.row.reads_tokens
    return is_always or first < num_hashed or any(first <= layer < end for layer in ngram_layers(model))


def ngram_layers(model: Model) -> tuple[int, ...]:
    """The layers that read per_layer_token_embd by the last tokens."""
    found = model.header.metadata.get(model.key("ple.layers"))
    if found is None or not isinstance(found.value, MetadataArray) or found.value.element_type is ValueType.STRING:
        return ()
    return tuple(int(layer) for layer in found.value.numbers().tolist())


def slice_keys(model: Model, first: int, end: int, layers: Sequence[SliceLayer], model_hash: str) -> Keys:
    """All keys of the slice file."""
    is_whole = (first, end) == (0, model.num_layers)
    keys = dict(model.header.metadata) if is_whole else _keys_of_layers(model, first, end, layers)
    keys.pop("general.alignment", None)
    if model.header.num_nextn_layers:
        keys[model.key("nextn_predict_layers")] = uint32(0)
    keys[model.key("block_count")] = uint32(len(layers))
    if model.row.encodes_prompt:
        keys |= stack_keys(model, first, end)
    if not is_whole and model.slice_architecture != model.architecture:
        keys = _renamed(keys, model.architecture, model.slice_architecture)
    return keys | _role(model, first, end, layers, model_hash)


def _renamed(keys: Keys, old: str, new: str) -> Keys:
    """The same keys of another architecture, whose graph is the same."""
    begin = f"{old}."
    renamed = {new + key[len(old) :] if key.startswith(begin) else key: value for key, value in keys.items()}
    return renamed | {"general.architecture": string(new)}


def _role(model: Model, first: int, end: int, layers: Sequence[SliceLayer], model_hash: str) -> Keys:
    # Nothing enters a whole model, and nothing leaves it.
    inputs: tuple[str, ...] = model.row.inputs[:1]
    outputs: tuple[str, ...] = ("result_norm",)
    width, in_front = model.hidden_width, num_in_front(layers)
    if (first, end) != (0, model.num_layers):
        output = _output(model, layers, in_front + end - first - 1)
        inputs, outputs = entries(model, in_front), exits(model, first, end, output)
        width = model.row_width
    role = {
        "first": uint32(first),
        "end": uint32(end),
        "num_layers": uint32(model.num_layers),
        "vocab_size": uint32(model.vocab_size),
        "hidden_width": uint32(width),
        "inputs": string_array(inputs),
        "outputs": string_array(outputs),
    }
    if (first, end) != (0, model.num_layers):
        role |= scale_keys(model, layers) | rounded_keys(model) | _window_keys(model, layers)
    if in_front:
        role["in_front"] = uint32(in_front)
    if model_hash:
        role["model_hash"] = string(model_hash)
    return {f"ggml_cluster.slice.{name}": value for name, value in role.items()}


def _window_keys(model: Model, layers: Sequence[SliceLayer]) -> Keys:
    if not model.window_size or model.sliding is None:
        return {}
    flags = tuple(int(model.sliding[layer.source]) for layer in layers)
    return {"window": uint32(model.window_size), "slides": uint32_array(flags)}


def _output(model: Model, layers: Sequence[SliceLayer], number: int) -> str:
    """The tensor that layer `number` of the file leaves."""
    if layers[number].source < model.num_deepstack:
        return f"deepstack_out-{number}"
    if number == len(layers) - 1 and model.row.last_output:
        return model.row.last_output
    return model.row.output.format(i=number, n=number + 1)


def _keys_of_layers(model: Model, first: int, end: int, layers: Sequence[SliceLayer]) -> Keys:
    """The model's own keys for these layers, and no tokenizer: token ids are all that a slice sees."""
    kept = ("general.", f"{model.architecture}.", "xielu.")
    keys = {key: value for key, value in model.header.metadata.items() if key.startswith(kept)}
    for key, value in model.arrays.items():
        keys[key] = _of_layers(value, layers)
    _set_head_widths(model, keys)
    _set_sliding(model, keys, layers)
    if model.row.recurrent == "list":
        flags = tuple(int(model.recurrent[layer.source]) for layer in layers)
        keys[model.key("attention.recurrent_layers")] = uint32_array(flags)
    elif model.row.recurrent.startswith("kv"):
        _set_first_head_count(model, keys, layers)
    _set_first_layers(model, keys, first, layers)
    _set_ngram_layers(model, keys, layers)
    if model.row.shared and model.num_shared and end < model.num_layers:
        keys[model.key(model.row.shared)] = uint32(0)
    _set_defaults(model, keys)
    keys[model.key("vocab_size")] = uint32(slice_vocab_size(model, first, end))
    keys["tokenizer.ggml.model"] = string("none")
    return keys


def _of_layers(value: MetadataValue, layers: Sequence[SliceLayer]) -> MetadataValue:
    assert isinstance(value.value, MetadataArray)
    array = value.value
    width = SCALAR_BYTES[array.element_type]
    raw = b"".join(array.raw[layer.source * width : (layer.source + 1) * width] for layer in layers)
    return MetadataValue(ValueType.ARRAY, MetadataArray(array.element_type, len(layers), raw))


def _set_head_widths(model: Model, keys: Keys) -> None:
    """libllama derives them from the number of heads of layer 0; a slice's layer 0 may have other heads."""
    num_heads = per_layer.numbers(model.header, "attention.head_count", 0)[0]
    for name in ("attention.key_length", "attention.value_length"):
        if num_heads > 0:
            keys.setdefault(model.key(name), uint32(model.hidden_width // num_heads))


def _set_first_head_count(model: Model, keys: Keys, layers: Sequence[SliceLayer]) -> None:
    """Where a slice begins with a layer without heads, give that the number of the model's first layer.

    Its state needs none, and libllama would take the slice for a model without heads.
    """
    counts = per_layer.numbers(model.header, "attention.head_count", 0)
    if counts[layers[0].source] == 0 and model.recurrent[layers[0].source]:
        own = [counts[0], *(counts[layer.source] for layer in layers[1:])]
        keys[model.key("attention.head_count")] = uint32_array(tuple(own))


def _set_sliding(model: Model, keys: Keys, layers: Sequence[SliceLayer]) -> None:
    """One flag per layer, so that a period need not start anew with the slice."""
    if model.sliding is None:
        return
    if model.window_size:  # what libllama would make nothing of
        keys.pop(model.key("attention.sliding_window"), None)
        keys.pop(model.key("attention.sliding_window_pattern"), None)
        return
    flags = tuple(int(model.sliding[layer.source]) for layer in layers)
    if any(flags):
        keys[model.key("attention.sliding_window_pattern")] = uint32_array(flags)
    else:
        # libllama asserts that a model with a window has a layer that slides. Without the window it builds
        # the same attention as for a layer that does not slide.
        keys.pop(model.key("attention.sliding_window"), None)
        keys.pop(model.key("attention.sliding_window_pattern"), None)


def _set_first_layers(model: Model, keys: Keys, first: int, layers: Sequence[SliceLayer]) -> None:
    """Keys that count layers from the beginning of the model."""
    for name in LEADING_KEYS:
        if model.key(name) in keys:
            keys[model.key(name)] = uint32(num_leading(layers, model.header.uint32(model.key(name))))
    if are_narrow(model, first):
        keys[model.key("leading_dense_block_count")] = uint32(first)
        keys[model.key("feed_forward_length")] = uint32(FEED_FORWARD_WIDTH)
    deepstack = model.key("n_deepstack_layers")
    if deepstack in keys:
        keys[deepstack] = uint32(max(0, model.header.uint32(deepstack) - first))
    if first > 0:
        keys.pop(model.key("deepstack_mapping"), None)  # the streams it adds are zeros for text


def _set_ngram_layers(model: Model, keys: Keys, layers: Sequence[SliceLayer]) -> None:
    wanted = ngram_layers(model)
    own = tuple(number for number, layer in enumerate(layers) if layer.source in wanted)
    keys.pop(model.key("ple.layers"), None)
    if own:
        keys[model.key("ple.layers")] = uint32_array(own)


def _set_defaults(model: Model, keys: Keys) -> None:
    """Values that libllama derives from the number of layers where the key is missing."""
    if model.row.residual_scale is not None:
        scale = np.float32(model.row.residual_scale) / np.sqrt(np.float32(model.num_layers))
        keys.setdefault(model.key("residual_scale"), float32(float(scale)))
    if model.architecture in ("deepseek2", "mistral4"):
        keys.setdefault(model.key("attention.q_lora_rank"), uint32(0))
        gating = keys.get(model.key("expert_gating_func"))
        if gating is None or gating.value == 0:
            is_lite = model.num_layers in (47, 48) and model.vocab_size == 154880
            keys[model.key("expert_gating_func")] = uint32(_EXPERT_SIGMOID if is_lite else _EXPERT_SOFTMAX)
