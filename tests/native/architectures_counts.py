"""What libllama derives from the number of layers, for docs/architectures.md: where it says so, and what is done."""

from __future__ import annotations

HEAD = """## What depends on the number of layers

A slice has fewer layers than its model, numbered anew. All that libllama derives from either number, in llama.cpp's
src as packaged in llama-cpp-python 0.3.36 (files without a folder are in src/models):
"""

# Source, what hangs on the number, what is done about it.
COUNTS = (
    (
        "baichuan.cpp:11, 58, 77",
        "32 layers rotate keys, 40 have biases by distance, other numbers neither",
        "exact: slices of a model of 32 layers call themselves `llama`, of 40 `refact`, whose graphs are the same "
        "operation for operation with any number (llama.cpp:99, refact.cpp:79); scales of the feed-forward, which "
        "baichuan.cpp:121 leaves alone, are left out",
    ),
    (
        "command-r.cpp:28",
        "from 64 layers on queries and keys have norms, which fewer may not load",
        "from 64 on exact only whole; with `--allow-rounding`, slices call themselves `stablelm`, the other graph with "
        "such norms beside a parallel feed-forward. It rotates other pairs, for which the native part sets the mode of "
        "the operation, and does not scale logits, which is done behind it; but it adds the parts of a layer up in "
        "another order (command-r.cpp, stablelm.cpp: the last two `ggml_add`), which rounds otherwise: by 3e-7 of the "
        "largest logit in a tiny model of 64 layers (`tests/native/test_rounding.py`)",
    ),
    (
        "deepseek2.cpp:8, and mistral4 with it",
        "26 and 27 layers, and 48 with 128256 tokens, have no rank of queries",
        "exact: slices of such models say rank 0; those of others get a stand-in behind, and the last may not have "
        "so many",
    ),
    (
        "deepseek2.cpp:26",
        "47 and 48 layers with 154880 tokens gate by sigmoid where the key is missing",
        "exact: the key expert_gating_func",
    ),
    (
        "exaone4.cpp:4",
        "64 layers have windows, and layers without rotation; fewer cannot have them",
        "exact: no key turns windows on, and the other graph with norms only behind its parts, olmo2's, norms all "
        "heads together; so slices have the graph without windows, in which the native part gives layers that slide "
        "a mask of their window, and leaves the rotation of the others out (slice/windows.h); the last slice of any "
        "other model may not have 64 layers",
    ),
    (
        "gemma2.cpp:25, gemma3.cpp:29",
        "46 and 62 layers scale queries by the width of the model over its heads, others by the width of a head",
        "exact: slices have the model's factor, which takes the place of the other in the graph (see below)",
    ),
    (
        "gemma3n.cpp:7, 39; models.h:843",
        "layers from the 20th on use the keys of earlier ones, the first 10 are sparse, and one embedding has a part "
        "for each layer",
        "exact: all three are in libllama's code, so that slices keep the numbers of their layers, with zeros for "
        "those in front; the last has all from the 18th on",
    ),
    (
        "gemma4.cpp:11, 59",
        "the same by keys: the last layers use the keys of earlier ones, each has its part of one embedding",
        "exact: each slice has its layers' columns of the one table and rows of the one product, and rows bring the "
        "embedding that it multiplies; layers that share are in the last slice with the two that they share from",
    ),
    ("hrm-text.cpp:23", "two stacks that are run in turns", "not served"),
    ("lfm2.cpp:15", "all layers are dense", "exact: so are all of a slice"),
    (
        "llama4.cpp:11; llama-graph.cpp:161",
        "without windows the last layer rotates no keys, and asserts a scale that only windows bring along",
        "not served: libllama stops the process, be the model whole or cut",
    ),
    ("minicpm.cpp:6", "the default of residual_scale", "exact: slices have the key"),
    (
        "minicpm3.cpp:197",
        "what a layer adds is scaled by the square root of the number",
        "exact: slices have the model's factor, likewise",
    ),
    (
        "minimax-01.cpp:288",
        "states decay by the layer's number over that of all",
        "exact: slices have the model's factor for each layer, likewise; derived ones would differ by "
        "1 / (number - 1) from layer to layer",
    ),
    (
        "nanbeige.cpp:31, 165",
        "num_loops times as many layers as tensors, with a norm between the rounds",
        "whole only where num_loops is more than 1",
    ),
    (
        "smallthinker.cpp:106",
        "4 layers all rotate keys, of more each fourth does not",
        "exact: other slices than the last get a stand-in; the last may not have 4",
    ),
    (
        "llama-model.cpp:3434",
        "windows by a period",
        "exact: an array with a flag for each layer",
    ),
    (
        "minimax-01.cpp:16, qwen35.cpp:21, qwen35moe.cpp:24, qwen3next.cpp:21, qwen4exp.cpp:136",
        "running states by a period",
        "exact: attention.recurrent_layers",
    ),
    (
        "afmoe.cpp:136, llama4.cpp:144, smollm3.cpp:69, smallthinker.cpp:106",
        "each fourth layer rotates no keys",
        "exact at each fourth place",
    ),
    (
        "ernie4-5-moe.cpp:64, llama4.cpp:62",
        "experts by a period",
        "exact at each multiple of interleave_moe_layer_step",
    ),
    (
        "deepseek2.cpp:126, cohere2moe.cpp:171 and all that read n_layer_dense_lead",
        "the first layers are dense",
        "exact: leading_dense_block_count says how many of the slice are",
    ),
    ("deepseek4.cpp:157", "the first layers choose experts by the token", "exact: hash_layer_count, likewise"),
    (
        "qwen3vl.cpp:153, qwen3vlmoe.cpp:164",
        "parts of a picture's row are added behind the first layers",
        "exact: n_deepstack_layers says how many of the slice do; the parts of later ones are handed on",
    ),
    (
        "granite.cpp:153",
        "streams of an image are added behind the first layers",
        "exact for text: deepstack_mapping",
    ),
    (
        "rwkv6.cpp:164",
        "each rescale_every_n_layers-th layer halves what it leaves",
        "exact at each multiple of rescale_every_n_layers",
    ),
    (
        "rwkv7-base.cpp:74, for rwkv7.cpp and arwkv7.cpp",
        "the first layer's values are mixed into those of all later ones, and its own are not mixed",
        "exact: rows bring them, and each slice has a small layer of zeros in front, whose values are written over",
    ),
    (
        "t5.cpp:121, 170; llama-context.cpp:1631; llama-kv-cache.cpp:165",
        "each decoder layer reads what llama_encode left in its context, and keys and values are kept for as many "
        "layers as the encoder has",
        "exact: the first slice has the encoder; those behind have one of zeros with as many layers as the slice, of "
        "which nothing is computed, and what it would leave is written over (slice/encoded_rows.h)",
    ),
    (
        "glm-dsa.cpp:64",
        "a list for models that bring none says which layers have an indexer",
        "exact, but in front of a layer that uses the indexer of one before it",
    ),
    (
        "kimi-k3.cpp:288",
        "each layer at the beginning of a block leaves rows for all later ones",
        "exact: each slice has a small layer of zeros for each layer in front of its own, and rows bring what those "
        "left",
    ),
)

TAIL = """Where libllama derives a factor from the number of layers (`cluster/cutting/factors.py`), a slice's file
says what it is in the model, and the native part writes that into the operation while libllama asks the evaluation
callback about it, which is before it is computed (`worker_native/src/slice/layer_scales.h`). Moved to a weight or to a
norm it would round otherwise; so the operation, its place and its factor are those of the whole model's graph, whatever
the weights are quantised to. A slice whose graph has no such operation for one of its layers ends with an error.

A slice could claim all layers of its model, with zeros for those that it has not. That is done for one or two
layers where a kind must be there, and for all in front where the graph leaves no other way (kimi-k3 with blocks,
gemma3n), but not else: libllama keeps keys and values for each layer that a file has (llama-kv-cache.cpp:165), so that
each stage needs the cache of all layers in front of its own, too. Their zeros are of 1.125 bits, in Kimi K3 a
feed-forward of 32 values takes the place of the experts, and nothing is multiplied with them nor attends to their
cache: the native part makes these operations ones that fill their results with zeros (`slice/zero_layers.h`).
`cluster plan` counts what that takes.
"""


def counts_section() -> list[str]:
    """The lines of the section."""
    lines = [HEAD, "| llama.cpp | what hangs on it | here |", "|---|---|---|"]
    lines += [f"| {source} | {what} | {done} |" for source, what, done in COUNTS]
    return [*lines, "", TAIL.rstrip("\n")]
