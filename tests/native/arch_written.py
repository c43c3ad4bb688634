"""Descriptions of tiny models that llama.cpp's own architecture test does not make: RWKV and what was made of it, PLM,
Granite Switch.

In the form of tests/archs; the keys and shapes are those that llama.cpp's src/models/{rwkv6,rwkv6qwen2,rwkv7,arwkv7,
plm,granite-switch}.cpp load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NUM_LAYERS, WIDTH, FFN_WIDTH, VOCAB, HEAD = 4, 128, 192, 128, 64
_RANK = 8

Shapes = Iterator[tuple[str, list[int]]]


def written() -> dict[str, Any]:
    """name -> {"metadata": {key: [type, value]}, "tensors": [[name, shape, type]]}"""
    return {
        "rwkv6-dense": _model("rwkv6", _RWKV6_KEYS, _rwkv6(fused=True), _OUTSIDE_RWKV),
        "rwkv6-unfused": _model("rwkv6", _RWKV6_KEYS, _rwkv6(fused=False), _OUTSIDE_RWKV),
        "rwkv6-rescale": _model(
            "rwkv6", _RWKV6_KEYS | {"rescale_every_n_layers": ["UINT32", 2]}, _rwkv6(fused=True), _OUTSIDE_RWKV
        ),
        "rwkv6qwen2-dense": _model("rwkv6qwen2", _RWKV6QWEN2_KEYS, _rwkv6qwen2()),
        "rwkv7-dense": _model("rwkv7", _RWKV7_KEYS, _rwkv7(), _OUTSIDE_RWKV),
        "arwkv7-dense": _model("arwkv7", _ARWKV7_KEYS, _arwkv7()),
        "graniteswitch-dense": _model("graniteswitch", _SWITCH_KEYS, _switch(), _TIED),
        "plm-dense": _model("plm", _PLM_KEYS, _plm(), _TIED),
    }


_OUTSIDE = {"token_embd.weight": [VOCAB, WIDTH], "output_norm.weight": [WIDTH], "output.weight": [VOCAB, WIDTH]}
_OUTSIDE_RWKV = _OUTSIDE | {
    name: [WIDTH] for name in ("token_embd_norm.weight", "token_embd_norm.bias", "output_norm.bias")
}
_TIED = {name: shape for name, shape in _OUTSIDE.items() if name != "output.weight"}

_RWKV_KEYS = {
    "attention.head_count": ["UINT32", 0],
    "attention.layer_norm_epsilon": ["FLOAT32", 1e-5],
    "wkv.head_size": ["UINT32", HEAD],
    "token_shift_count": ["UINT32", 2],
}
_QWEN_KEYS = {
    "attention.layer_norm_rms_epsilon": ["FLOAT32", 1e-5],
    "wkv.head_size": ["UINT32", HEAD],
    "token_shift_count": ["UINT32", 1],
}
_MIX6_KEYS = {"time_mix_extra_dim": ["UINT32", _RANK], "time_decay_extra_dim": ["UINT32", _RANK]}
_RANKS7 = {
    f"attention.{name}_lora_rank": ["UINT32", rank]
    for name, rank in (("decay", 8), ("iclr", 12), ("value_residual_mix", 20), ("gate", 16))
}
_RWKV6_KEYS = _RWKV_KEYS | _MIX6_KEYS
_RWKV6QWEN2_KEYS = (
    _QWEN_KEYS
    | _MIX6_KEYS
    | {
        "attention.head_count": ["UINT32", WIDTH // HEAD],
        "attention.head_count_kv": ["UINT32", 2],
    }
)
_RWKV7_KEYS = _RWKV_KEYS | _RANKS7
_ARWKV7_KEYS = _QWEN_KEYS | _RANKS7 | {"attention.head_count": ["UINT32", 0]}
_NUM_ADAPTERS = 16  # so many that some of the tokens of a test switch one on
_SWITCH_KEYS = {
    "attention.head_count": ["UINT32", 2],
    "attention.head_count_kv": ["UINT32", 2],
    "attention.layer_norm_rms_epsilon": ["FLOAT32", 1e-5],
    "attention.scale": ["FLOAT32", 0.1],
    "rope.dimension_count": ["UINT32", WIDTH // 2],
    "logit_scale": ["FLOAT32", 1.5],
    "residual_scale": ["FLOAT32", 0.5],
    "embedding_scale": ["FLOAT32", 2.0],
    "adapters.count": ["UINT32", _NUM_ADAPTERS],
    "adapters.lora_rank": ["UINT32", _RANK],
    "adapters.token_ids_activate": ["ARRAY:INT32", list(range(3, VOCAB, 8))],
    "adapters.token_ids_substitute": ["ARRAY:INT32", [2] * _NUM_ADAPTERS],
}
_PLM_KEYS = {
    "attention.head_count": ["UINT32", 2],
    "attention.head_count_kv": ["UINT32", 2],
    "attention.layer_norm_rms_epsilon": ["FLOAT32", 1e-5],
    "attention.kv_lora_rank": ["UINT32", 24],
    "attention.key_length": ["UINT32", 48],
    "attention.value_length": ["UINT32", 32],
    "rope.dimension_count": ["UINT32", 16],
}


def _model(
    architecture: str, keys: Mapping[str, Any], layer: list[list[Any]], outside: Mapping[str, list[int]] = _OUTSIDE
) -> dict[str, Any]:
    own = {
        "block_count": ["UINT32", NUM_LAYERS],
        "context_length": ["UINT32", 256],
        "embedding_length": ["UINT32", WIDTH],
        "feed_forward_length": ["UINT32", FFN_WIDTH],
        "vocab_size": ["UINT32", VOCAB],
    }
    metadata = {f"{architecture}.{name}": value for name, value in {**own, **keys}.items()}
    metadata |= {"general.architecture": ["STRING", architecture], "tokenizer.ggml.model": ["STRING", "none"]}
    tensors = [[name, shape, "F32"] for name, shape in outside.items()]
    for number in range(NUM_LAYERS):
        for name, shape in layer:
            # The first layer mixes no value of an earlier one, and its unused matrices have another rank.
            is_first_mix = number == 0 and name in ("time_mix_v1.weight", "time_mix_v2.weight")
            own_shape = [12 if size == 20 else size for size in shape] if is_first_mix else shape
            tensors.append([f"blk.{number}.{name}", own_shape, "F32"])
    return {"metadata": metadata, "tensors": tensors}


def _square(*names: str) -> Shapes:
    yield from ((f"{name}.weight", [WIDTH, WIDTH]) for name in names)


def _vectors(*names: str) -> Shapes:
    yield from ((name, [WIDTH]) for name in names)


def _lists(*parts: Shapes) -> list[list[Any]]:
    return [[name, shape] for part in parts for name, shape in part]


def _mix6() -> Shapes:
    yield "time_mix_w1.weight", [5 * _RANK, WIDTH]
    yield "time_mix_w2.weight", [5, WIDTH, _RANK]
    yield "time_mix_lerp_x.weight", [1, 1, WIDTH]
    yield "time_mix_decay.weight", [WIDTH]
    yield "time_mix_decay_w1.weight", [_RANK, WIDTH]
    yield "time_mix_decay_w2.weight", [WIDTH, _RANK]
    yield from _square("time_mix_receptance", "time_mix_gate", "time_mix_output")


def _fused(count: int) -> Shapes:
    yield "time_mix_lerp_fused.weight", [count, 1, 1, WIDTH]


def _rwkv_norms() -> Shapes:
    for name in ("attn_norm", "attn_norm_2", "time_mix_ln"):
        yield from _vectors(f"{name}.weight", f"{name}.bias")


def _rwkv6(*, fused: bool) -> list[list[Any]]:
    single = ((f"time_mix_lerp_{name}.weight", [1, 1, WIDTH]) for name in "wkvrg")
    return _lists(
        _rwkv_norms(),
        _mix6(),
        _fused(5) if fused else single,
        _square("time_mix_key", "time_mix_value", "channel_mix_receptance"),
        iter([("time_mix_first.weight", [WIDTH // HEAD, HEAD])]),
        iter([(f"channel_mix_lerp_{name}.weight", [1, 1, WIDTH]) for name in "kr"]),
        _channel_mix(),
    )


def _channel_mix() -> Shapes:
    yield "channel_mix_key.weight", [FFN_WIDTH, WIDTH]
    yield "channel_mix_value.weight", [WIDTH, FFN_WIDTH]


def _qwen_feed_forward() -> Shapes:
    yield from _vectors("attn_norm.weight", "ffn_norm.weight")
    yield "ffn_gate.weight", [FFN_WIDTH, WIDTH]
    yield "ffn_up.weight", [FFN_WIDTH, WIDTH]
    yield "ffn_down.weight", [WIDTH, FFN_WIDTH]


def _rwkv6qwen2() -> list[list[Any]]:
    width = 2 * HEAD
    keys = iter([(f"time_mix_{name}.weight", [width, WIDTH]) for name in ("key", "value")])
    biases = iter([("time_mix_key.bias", [width]), ("time_mix_value.bias", [width])])
    return _lists(
        _qwen_feed_forward(),
        _mix6(),
        _fused(5),
        keys,
        biases,
        _vectors("time_mix_receptance.bias"),
    )


def _mix7() -> Shapes:
    yield from _vectors(*(f"time_mix_{name}.weight" for name in ("w0", "a0", "v0", "k_k", "k_a", "r_k")))
    for name, rank in (("w", 8), ("a", 12), ("v", 20), ("g", 16)):
        yield f"time_mix_{name}1.weight", [rank, WIDTH]
        yield f"time_mix_{name}2.weight", [WIDTH, rank]
    yield from _square(*(f"time_mix_{name}" for name in ("key", "value", "receptance", "output")))
    yield from _fused(6)


def _rwkv7() -> list[list[Any]]:
    return _lists(_rwkv_norms(), _mix7(), iter([("channel_mix_lerp_k.weight", [1, 1, WIDTH])]), _channel_mix())


def _arwkv7() -> list[list[Any]]:
    return _lists(_qwen_feed_forward(), _mix7())


def _plm() -> list[list[Any]]:
    return _lists(
        _vectors("attn_norm.weight", "ffn_norm.weight"),
        iter(
            [
                ("attn_q.weight", [2 * 48, WIDTH]),
                ("attn_kv_a_mqa.weight", [24 + 16, WIDTH]),
                ("attn_kv_a_norm.weight", [24]),
                ("attn_kv_b.weight", [2 * (32 + 32), 24]),
                ("attn_output.weight", [WIDTH, 2 * 32]),
                ("ffn_up.weight", [FFN_WIDTH, WIDTH]),
                ("ffn_down.weight", [WIDTH, FFN_WIDTH]),
            ]
        ),
    )


def _switched(name: str, num_out: int, num_in: int) -> Shapes:
    yield f"{name}.lora_a", [_NUM_ADAPTERS + 1, _RANK, num_in]
    yield f"{name}.lora_b", [_NUM_ADAPTERS + 1, num_out, _RANK]


def _switch() -> list[list[Any]]:
    matrices = {"attn_output": (WIDTH, WIDTH), "ffn_gate": (FFN_WIDTH, WIDTH), "ffn_up": (FFN_WIDTH, WIDTH)}
    matrices["ffn_down"] = (WIDTH, FFN_WIDTH)
    switched = matrices | {f"attn_{part}": (WIDTH, WIDTH) for part in "qkv"}
    return _lists(
        _vectors("attn_norm.weight", "ffn_norm.weight"),
        iter([("attn_qkv.weight", [3 * WIDTH, WIDTH])]),
        iter([(f"{name}.weight", list(shape)) for name, shape in matrices.items()]),
        *(_switched(name, *shape) for name, shape in switched.items()),
    )
