"""What each architecture's graph does that a cut must know: one row per architecture.

The facts were read in llama.cpp's src/models/*.cpp, src/llama-model.cpp and src/llama-graph.cpp (as packaged in
llama-cpp-python 0.3.36), and every row that allows cuts was run: docs/architectures.md. An architecture without a
row is refused, because an unknown graph could give wrong results without any sign of it.

How a row that is all defaults works: the graph embeds the token ids into the tensor "embd"; each layer i adds to it
and leaves "l_out-i"; nothing depends on a layer's number but what is in the tensors blk.i.* and in the per-layer keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cluster.cutting.factors import DECAY, RESIDUAL, Factor, by_model_width


@dataclass(frozen=True, slots=True)
class Window:
    """Sliding windows. `period`: the default of {arch}.attention.sliding_window_pattern, where one layer of each
    period does not slide: its last one, or its first (`dense_first`). None: the pattern must be an array.

    `optional`: without {arch}.attention.sliding_window the graph is the same, less the windows; so a slice in which
    no layer slides can go without. Elsewhere every slice needs a layer that slides.
    `size`: the default of {arch}.attention.sliding_window; None: it must be there.
    """

    period: int | None
    dense_first: bool = False
    optional: bool = False
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Rounded:
    """Another architecture, as which slices compute the same, but round it otherwise: cluster.cutting.rounding.

    `how`: for people. `rope_mode`: how keys and queries are rotated (GGML_ROPE_TYPE_*), where its own graph would do it
    in another way. `layer_zeros`, `outer_zeros`: biases that it asks for, in a layer and outside.
    """

    architecture: str
    how: str
    rope_mode: int | None = None
    layer_zeros: tuple[str, ...] = ()
    outer_zeros: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Architecture:
    """One row. All defaults: see above.

    `inputs`: the tensors that carry hidden rows into a slice's first layer; "name@other" is written once `other` is
    computed. Those after the first are the same for all layers.
    `output`: the tensor that layer `i` leaves, with `n` the next one; `last_output`: that of the last one in a file,
    where it has another name. `planes`: how many matrices of rows that tensor is.
    `numbered`: slices keep the numbers of their layers, with zeros for those in front: what the graph does with a layer
    hangs on its number.
    `hands_on_first`: all layers read what the first one made, the second of `inputs`: slices have zeros for that layer
    in front of their own, so that rows enter behind those.
    `blocks`: the key with the number of layers in a block, whose first layer leaves what it was given to all layers
    behind; where it is set, rows carry that of all blocks so far, and slices keep the numbers of their layers.
    `streams`: the key that counts the residual streams, each as wide as the model; empty: one.
    `window`: see Window. `windowed`: for numbers of layers, windows that libllama has with these alone; layers that do
    not slide are not rotated there. Slices have both set in their graph.
    `period`, `period_key`: layers repeat with this period, and with that in the key.
    `counts`, `at_least`: libllama takes another graph for exactly these numbers of layers, and from this number on.
    `rounded`: what slices of a model of `at_least` layers can be for whoever allows it.
    `twins`: for a number of layers, the architecture whose graph, for any number, is the same operation for operation:
    slices of such a model call themselves that.
    `unread`: tensors of a layer, by the ends of their names, that this graph leaves alone and a twin's would use.
    `recurrent`: how libllama knows the layers that keep a running state instead of keys and values: "all" layers do
    (beside keys and values, or not), or "kv": those without key/value heads, "kv+ff": those without feed-forward too,
    "list": a list, or all but the last of each `interval`. Empty: none.
    `heads_vary`: the graph reads the head and feed-forward counts of each layer; else those of the first count for all.
    `equal`, `rotary`: it asserts that keys are as wide as values, and that all of a key is rotated.
    `indexer`: layers without an indexer use the choice of the last layer before that has one; the default of the list
    (1: all have one, 0: it must be there).
    `ratios`: of {arch}.attention.compress_ratios; `full`: without a window; `sparse`: behind the leading dense
    ones: every slice needs a layer of each of these.
    `norm`: the norm after the layers, where it is not output_norm.
    `tied`: the embedding is the head, a head of its own is not loaded.
    `parts`: the key with the width of each layer's part of one further embedding, which is chosen by the token and
    added to a product of the first embedding, or that width; where it is set, rows carry that too, and enter at
    `parts_input`, an entry as in `inputs`.
    `shared`: the key that counts the last layers, which use the keys and values of the last two before them: those
    that slide of the one, the others of the other. `shared_from`: the first of these, where there is no key.
    `reads_tokens`: the graph reads tokens in front of the first layer of any slice, beside the rows.
    `min_tokens`: the least vocabulary that libllama loads, for slices that neither embed nor have the head.
    `factor`: what libllama derives from the number of layers, and multiplies with in each: slices have the model's.
    `residual_scale`: times 1/sqrt(number of layers) is the default of that key.
    `whole`: why no model can be cut, though it can be served whole; `whole_if`: numbers in keys that make it so.
    `refusal`: why it cannot be served at all; `refused_if`: numbers in keys that make it so.
    `layer_words`: how the names of tensors of a layer begin, in front of its number.
    `is_encoder`: it gives embeddings, or scores: each token attends to all of the text, which is read whole.
    `encodes_prompt`: an encoder reads the prompt whole, and a decoder says what follows.
    """

    inputs: tuple[str, ...] = ("embd",)
    output: str = "l_out-{i}"
    last_output: str = ""
    planes: int = 1
    numbered: bool = False
    hands_on_first: bool = False
    blocks: str = ""
    streams: str = ""
    window: Window | None = None
    windowed: Mapping[int, Window] = field(default_factory=dict)
    period: int = 1
    period_key: str = ""
    counts: frozenset[int] = frozenset()
    at_least: int | None = None
    rounded: Rounded | None = None
    twins: Mapping[int, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    recurrent: str = ""
    interval: int = 4
    heads_vary: bool = False
    equal: bool = True
    rotary: bool = False
    indexer: int | None = None
    ratios: tuple[int, ...] = ()
    full: bool = False
    sparse: bool = False
    norm: str = "output_norm"
    tied: bool = False
    parts: str | int = ""
    parts_input: str = ""
    shared: str = ""
    shared_from: int | None = None
    reads_tokens: bool = False
    min_tokens: int = 32
    factor: Factor | None = None
    residual_scale: float | None = None
    whole: str = ""
    whole_if: Mapping[str, tuple[Callable[[int], bool], str]] = field(default_factory=dict)
    refusal: str = ""
    refused_if: Mapping[str, tuple[Callable[[int], bool], str]] = field(default_factory=dict)
    layer_words: tuple[str, ...] = ("blk",)
    is_encoder: bool = False
    encodes_prompt: bool = False


def _rows(names: str, row: Architecture) -> Mapping[str, Architecture]:
    return dict.fromkeys(names.split(), row)


PLAIN = Architecture()
ROTARY = replace(PLAIN, rotary=True)
FREE = replace(PLAIN, equal=False)  # latent attention, or heads of the file's own choice
HYBRID = replace(FREE, recurrent="kv", heads_vary=True)
DELTA = replace(PLAIN, inputs=("model.input_embed",), recurrent="list")
STREAMS = replace(FREE, inputs=("hc_init",), streams="hyper_connection.count")
ENCODER = Architecture(is_encoder=True, whole="each token attends to all of the text, also to what is behind it")
POSITIONS = replace(PLAIN, inputs=("inpL",))  # learned positions are added to the embedding

ARCHITECTURES: Mapping[str, Architecture] = {
    **_rows(
        "arcee arctic cogvlm dbrx deci deepseek dots1 ernie4_5 exaone falcon granite granitemoe grok grovemoe "
        "hunyuan-dense hunyuan-moe hunyuan_vl hy_v3 internlm2 jais2 llama maincoder minimax-m2 mistral3 nemotron olmo "
        "olmoe orion paddleocr pangu-embedded plamo qwen2 qwen2moe qwen2vl qwen3 qwen3moe qwen3vl "
        "qwen3vlmoe seed_oss starcoder2 xverse",
        ROTARY,
    ),
    **_rows(
        "apertus chatglm codeshell glm4 glm4moe gptneox jais phi2 phi3 phimoe qwen refact stablelm",
        PLAIN,
    ),
    **_rows("bailingmoe bailingmoe2 deepseek32", FREE),
    "deci": replace(ROTARY, heads_vary=True),
    "bitnet": replace(PLAIN, tied=True),
    "openelm": replace(PLAIN, heads_vary=True, tied=True),
    "pockettts": replace(ROTARY, tied=True),
    "ernie4_5-moe": replace(ROTARY, period_key="interleave_moe_layer_step"),
    # 32 layers rotate keys as llama does, 40 have biases by distance as refact has, and other numbers neither.
    "baichuan": replace(
        ROTARY,
        counts=frozenset({32, 40}),
        twins={32: "llama", 40: "refact"},
        unread=("ffn_gate.scale", "ffn_up.scale", "ffn_down.scale"),
    ),
    "command-r": replace(
        PLAIN,
        at_least=64,
        tied=True,
        rounded=Rounded(
            "stablelm",
            "slices add a layer's parts up in another order than 64 or more layers of libllama's command-r do",
            rope_mode=0,
            layer_zeros=("attn_norm.bias",),
            outer_zeros=("output_norm.bias",),
        ),
    ),
    "deepseek2": FREE,
    "mistral4": FREE,
    "minicpm": replace(ROTARY, residual_scale=1.4),
    "nanbeige": replace(PLAIN, whole_if={"num_loops": (lambda count: count > 1, "its layers are run more than once")}),
    "smollm3": replace(ROTARY, period=4),
    "minimax-m3": replace(PLAIN, sparse=True),
    "glm-dsa": replace(FREE, indexer=0),
    # Which adapter the tokens so far have switched on, which every layer reads, is found in front of the first.
    "graniteswitch": replace(PLAIN, inputs=("inp_embd",), reads_tokens=True),
    # What happens to the embedding before the first layer.
    "gemma": replace(FREE, inputs=("inp_scaled",), tied=True),
    "bloom": replace(PLAIN, inputs=("inp_norm-0",)),
    **_rows("gpt2 mpt starcoder", POSITIONS),
    # The normed embedding is added in every layer, as a second part of each row.
    "qwen3tts": replace(ROTARY, min_tokens=3072),  # the width of its head is in libllama's code
    "talkie": replace(ROTARY, inputs=("inp_norm", "inp_norm@ffn_inp-0")),
    # Sliding windows.
    "gemma2": replace(FREE, inputs=("inp_scaled",), window=Window(2), factor=by_model_width(46), tied=True),
    "gemma3": replace(FREE, inputs=("inp_scaled",), window=Window(6, optional=True), factor=by_model_width(62)),
    "gemma4": replace(
        FREE,
        inputs=("inp_scaled",),
        window=Window(None),
        full=True,
        heads_vary=True,
        parts="embedding_length_per_layer_input",
        parts_input="inp_scaled@attn_out-0",  # behind all that reads the rows there
        shared="attention.shared_kv_layers",
    ),
    # Its first 10 layers are sparse, and those from 20 on share keys and values: both numbers are in libllama's code.
    "gemma3n": replace(
        FREE,
        inputs=("inp_stacked",),
        planes=4,
        numbered=True,
        window=Window(5),
        parts=256,
        parts_input="inp_scaled",
        shared_from=20,
    ),
    "afmoe": replace(PLAIN, inputs=("inp_embd_scaled",), window=Window(4), period=4),
    "cohere2": replace(PLAIN, window=Window(4), tied=True),
    "cohere2moe": replace(ROTARY, window=Window(4, dense_first=True)),
    "exaone4": replace(ROTARY, counts=frozenset({64}), windowed={64: Window(4, size=4096)}),
    "exaone-moe": replace(ROTARY, window=Window(4)),
    "gpt-oss": replace(FREE, window=Window(2)),
    "laguna": replace(PLAIN, window=Window(4, dense_first=True, optional=True), heads_vary=True),
    "llama4": replace(
        ROTARY,
        window=Window(4),
        period=4,
        period_key="interleave_moe_layer_step",
        # llama-graph.cpp:161: its last layer rotates no keys, and asserts the scale that only windows bring along.
        refused_if={
            "attention.sliding_window": (lambda size: size == 0, "libllama stops the process in its last layer")
        },
    ),
    "mellum": replace(ROTARY, window=Window(4, optional=True)),
    "muse-glimmer": replace(PLAIN, inputs=("embd_norm",), window=Window(4)),
    "olmo2": replace(ROTARY, window=Window(4, optional=True)),
    "plamo3": replace(FREE, window=Window(8, optional=True), heads_vary=True),
    "smallthinker": replace(ROTARY, window=Window(4, dense_first=True), period=4, counts=frozenset({4})),
    **_rows("granite_swa maple", replace(PLAIN, window=Window(None))),
    **_rows("mimo2 spark2_5", replace(FREE, window=Window(None), heads_vary=True)),
    "step35": replace(
        FREE,
        inputs=("attn_norm_in-0",),
        output="attn_norm_in-{n}",
        last_output="h_nextn",
        window=Window(None),
        heads_vary=True,
    ),
    "dots3note": replace(FREE, window=Window(None), heads_vary=True, full=True),
    # Running states.
    **_rows("mamba mamba2", replace(FREE, recurrent="all")),
    "falcon-h1": replace(FREE, recurrent="all"),
    **_rows("granitehybrid jamba", HYBRID),
    **_rows("lfm2 lfm2moe", replace(HYBRID, inputs=("model.embed_tokens",), norm="token_embd_norm")),
    **_rows("nemotron_h nemotron_h_moe", replace(HYBRID, recurrent="kv+ff", output="nemotron_h_block_out-{i}")),
    "plamo2": replace(HYBRID, inputs=("embedding_output",), output="ffn_residual-{i}"),
    # The embedding's own norm leaves no name: libllama counts the tensors that have none.
    "rwkv6": replace(FREE, inputs=("node_22",), recurrent="all", period_key="rescale_every_n_layers"),
    "rwkv6qwen2": replace(FREE, recurrent="all"),
    # The values of the first layer, which all mix into theirs, have no name either.
    "rwkv7": replace(FREE, inputs=("embd", "node_57"), hands_on_first=True, recurrent="all"),
    "arwkv7": replace(FREE, inputs=("embd", "node_52"), hands_on_first=True, recurrent="all"),
    "kimi-linear": replace(HYBRID, inputs=("model.embed_tokens",)),
    "bailingmoe3": replace(HYBRID, inputs=("model.input_embed",)),
    "qwen3next": replace(DELTA, inputs=("model.embed_tokens",)),
    **_rows("qwen35 qwen35moe", DELTA),
    # Several residual streams.
    "hy_v4": replace(STREAMS, indexer=0),
    "deepseek4": replace(STREAMS, output="l_last-{i}", recurrent="all", equal=True, ratios=(4, 128)),
    "qwen4exp": replace(STREAMS, output="l_last-{i}", recurrent="list"),
    "glm5-next": replace(STREAMS, recurrent="kv", heads_vary=True, indexer=1),
    "kimi-k3": replace(
        HYBRID,
        inputs=("inp_embd",),
        blocks="attn_res.block_size",
    ),
    # Factors by the number of layers.
    "minicpm3": replace(FREE, inputs=("inp_scaled",), factor=RESIDUAL),
    "minimax-01": replace(ROTARY, recurrent="list", interval=8, factor=DECAY),
    # Embeddings and scores only.
    **_rows("bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert llama-embed", ENCODER),
    "modern-bert": replace(ENCODER, window=Window(3, dense_first=True, optional=True)),
    "gemma-embedding": replace(
        ENCODER,
        window=Window(6),
        refused_if={"dense_2_feat_out": (lambda width: width > 0, "matrices behind its pooling are not computed here")},
    ),
    "t5encoder": replace(ENCODER, layer_words=("enc.blk",)),
    "t5": Architecture(encodes_prompt=True, layer_words=("enc.blk", "dec.blk"), last_output="result_embd"),
    # Not served.
    "hrm_text": Architecture(refusal="its two stacks of layers are run in turns, so it has more layers than tensors"),
    # plm.cpp:137: it hands its values to the cache in a shape of two extents, and that reads three.
    "plm": Architecture(refusal="libllama stops the process in its first layer"),
    "chameleon": Architecture(refusal="libllama implements it in part"),
    "wavtokenizer-dec": Architecture(refusal="it decodes audio, it gives no next token"),
    "deepseek2-ocr": Architecture(refusal="it is the text part of another model"),
    **_rows(
        "gemma4-assistant eagle3 dflash", Architecture(refusal="it drafts for another model, whose tensors it uses")
    ),
    **_rows("dream llada llada-moe rnd1", Architecture(refusal="it is a diffusion model: its attention is not causal")),
    "clip": Architecture(refusal="it gives embeddings, no next token"),
}
