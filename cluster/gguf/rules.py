"""What each architecture allows: which tensors go where, and which models cannot be cut exactly.

The facts were read in llama.cpp's src/models/{llama,qwen2,qwen3,gemma3}.cpp, src/llama-model.cpp and
src/llama-model-loader.cpp (as packaged in llama-cpp-python 0.3.36). RULES_VERSION changes whenever a rule
changes what a slice file holds, so that no old slice is taken from a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.errors import UnsupportedModelError
from cluster.gguf.encode import ALIGNMENT
from cluster.gguf.header import Header
from cluster.gguf.limits import check_limits
from cluster.gguf.value import MetadataArray, ValueType

RULES_VERSION = 1
MAX_LAYERS = 512  # LLAMA_MAX_LAYERS; libllama asserts on more

# libllama gives a model of this many layers the attention scale of Gemma 3 27B, and all others another one.
GEMMA3_27B_LAYERS = 62

TOKEN_EMBEDDING = "token_embd.weight"
OUTPUT_NORM = "output_norm.weight"
OUTPUT = "output.weight"


@dataclass(frozen=True, slots=True)
class ArchitectureRules:
    """`everywhere`: tensors that every layer reads. `last_only`: those used after the layers."""

    everywhere: frozenset[str] = frozenset()
    last_only: frozenset[str] = frozenset({OUTPUT_NORM, OUTPUT, "output.scale", "output.input_scale"})
    sliding_window: bool = False


ARCHITECTURES: Mapping[str, ArchitectureRules] = {
    # The rope factors are one tensor for all layers. With experts (Mixtral) the rules are the same: all about
    # them is in the blk.* tensors and in keys that hold for all layers.
    "llama": ArchitectureRules(
        everywhere=frozenset({"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"}),
    ),
    "qwen2": ArchitectureRules(last_only=ArchitectureRules().last_only | {"output.bias"}),
    # cls.output is a reranker's head: libllama loads it where it is and does not use it for logits.
    "qwen3": ArchitectureRules(last_only=ArchitectureRules().last_only | {"cls.output.weight"}),
    # The graph scales the embedding by sqrt(width) for token input only, so hidden input is right as it is.
    "gemma3": ArchitectureRules(sliding_window=True),
}

# libllama reads each of these for the whole model or once per layer, but the graphs of these architectures
# use layer 0's value for all layers. A slice's layer 0 is another layer, so the values have to be equal.
_UNIFORM_KEYS = (
    "attention.head_count",
    "attention.head_count_kv",
    "feed_forward_length",
    "expert_used_count",
)
_UNSPECIFIED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Model:
    """What the cutting rules need to know of a model that passed all checks.

    `sliding`: for each layer, whether it attends to the window only; None without windows.
    """

    header: Header
    architecture: str
    rules: ArchitectureRules
    num_layers: int
    hidden_width: int
    vocab_size: int
    sliding: tuple[bool, ...] | None

    def key(self, name: str) -> str:
        return f"{self.architecture}.{name}"


def check(header: Header) -> Model:
    """Refuse what cannot be cut exactly (UnsupportedModelError) or contradicts itself (ModelFileError)."""
    architecture = header.architecture
    rules = ARCHITECTURES.get(architecture)
    if rules is None:
        raise _refusal(header, f"the supported architectures are {', '.join(ARCHITECTURES)}")
    num_layers = header.num_layers
    if not 1 <= num_layers <= MAX_LAYERS:
        raise header.error(f"{architecture}.block_count", f"{num_layers} is not in 1..{MAX_LAYERS}")
    _check_kind(header)
    check_limits(header)
    for name in _UNIFORM_KEYS:
        _check_uniform(header, f"{architecture}.{name}", num_layers)
    vocab_size = _check_tensors(header, rules, num_layers)
    sliding = _sliding_layers(header, num_layers) if rules.sliding_window else None
    return Model(header, architecture, rules, num_layers, header.hidden_width, vocab_size, sliding)


def layer_of(name: str) -> tuple[int, str] | None:
    """(3, "attn_q.weight") for "blk.3.attn_q.weight", None for a tensor outside the layers."""
    prefix, _, rest = name.partition(".")
    number, _, suffix = rest.partition(".")
    if prefix != "blk" or not (number.isascii() and number.isdecimal()) or not suffix or str(int(number)) != number:
        return None
    return int(number), suffix


def _refusal(header: Header, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{header.path}: architecture {header.architecture!a} cannot be cut: {why}")


def _check_kind(header: Header) -> None:
    architecture = header.architecture
    kind = header.get("general.type", ValueType.STRING) or "model"
    if kind != "model":
        raise _refusal(header, f"general.type is {kind!a}, not 'model'")
    if any(key.startswith("ggml_cluster.slice.") for key in header.metadata):
        raise _refusal(header, "the file is itself a slice; use the model it was cut from")
    if header.uint32(f"{architecture}.pooling_type", _UNSPECIFIED) not in (0, _UNSPECIFIED):
        raise _refusal(header, "it is an embedding or reranking model (pooling_type is set)")
    if header.get(f"{architecture}.attention.causal", ValueType.BOOL) is False:
        raise _refusal(header, "its attention is not causal")
    if header.uint32(f"{architecture}.nextn_predict_layers", 0):
        raise _refusal(header, "it has layers that predict further tokens (nextn_predict_layers)")
    if "general.tensor_extra.name" in header.metadata:
        raise _refusal(header, "it sets the precision of single tensors (general.tensor_extra)")
    if header.alignment < ALIGNMENT:
        raise _refusal(header, f"general.alignment is {header.alignment}, libllama maps multiples of {ALIGNMENT} only")


def _check_uniform(header: Header, key: str, num_layers: int) -> None:
    found = header.metadata.get(key)
    if found is None or not isinstance(found.value, MetadataArray):
        return
    array = found.value
    if array.element_type is ValueType.STRING or array.count != num_layers:
        raise header.error(key, f"{array.count} values of {array.element_type.name} for {num_layers} layers")
    if len(set(array.numbers().tolist())) > 1:
        raise _refusal(header, f"{key} differs from layer to layer")


def _check_tensors(header: Header, rules: ArchitectureRules, num_layers: int) -> int:
    """Each tensor has a place, each layer has tensors; returns the vocabulary size."""
    known = rules.everywhere | rules.last_only | {TOKEN_EMBEDDING}
    shapes = {info.name: info.shape for info in header.tensors}
    layers = set()
    for name in shapes:
        found = layer_of(name)
        if found is None and name not in known:
            raise _refusal(header, f"no rule says where tensor {name!a} belongs")
        if found is not None and found[0] >= num_layers:
            raise header.error(f"tensor {name!a}", f"the model has only {num_layers} layers")
        if found is not None:
            layers.add(found[0])
    if len(layers) < num_layers:
        missing = min(set(range(num_layers)) - layers)
        raise header.error(f"tensor 'blk.{missing}.*'", "missing")
    for name in (TOKEN_EMBEDDING, OUTPUT_NORM):
        if name not in shapes:
            raise header.error(f"tensor {name!r}", "missing")
    return _vocab_size(header, shapes)


def _vocab_size(header: Header, shapes: Mapping[str, tuple[int, ...]]) -> int:
    embedding, width = shapes[TOKEN_EMBEDDING], header.hidden_width
    if len(embedding) != 2 or embedding[1] != width or embedding[0] > 2**31 - 1:
        raise header.error(f"tensor {TOKEN_EMBEDDING!r}", f"shape {embedding}, must be (vocabulary, {width})")
    if shapes.get(OUTPUT, embedding) != embedding:
        raise header.error(f"tensor {OUTPUT!r}", f"shape {shapes[OUTPUT]}, must be {embedding}")
    tokens = header.get("tokenizer.ggml.tokens", ValueType.ARRAY)
    if isinstance(tokens, MetadataArray) and tokens.count != embedding[0]:
        raise header.error("tokenizer.ggml.tokens", f"{tokens.count} tokens for {embedding[0]} embeddings")
    return embedding[0]


def _sliding_layers(header: Header, num_layers: int) -> tuple[bool, ...] | None:
    """Which layers slide, as in libllama: one flag per layer, or a period whose last layer does not slide."""
    prefix = f"{header.architecture}.attention.sliding_window"
    if header.uint32(prefix, 0) == 0:
        return None
    pattern = header.metadata.get(f"{prefix}_pattern")
    if pattern is not None and isinstance(pattern.value, MetadataArray):
        flags = _sliding_flags(header, f"{prefix}_pattern", pattern.value, num_layers)
    else:
        period = header.uint32(f"{prefix}_pattern", 6)
        flags = tuple(period == 0 or layer % period < period - 1 for layer in range(num_layers))
    if not any(flags):  # libllama asserts
        raise header.error(f"{prefix}_pattern", "no layer uses the sliding window")
    return flags


def _sliding_flags(header: Header, key: str, array: MetadataArray, num_layers: int) -> tuple[bool, ...]:
    if array.element_type not in (ValueType.BOOL, ValueType.UINT32, ValueType.INT32):
        raise header.error(key, f"values of {array.element_type.name}, must be BOOL, UINT32 or INT32")
    if array.count != num_layers:
        raise header.error(key, f"{array.count} values for {num_layers} layers")
    return tuple(bool(flag) for flag in array.numbers().tolist())
