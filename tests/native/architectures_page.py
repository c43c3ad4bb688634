"""Writes docs/architectures.md: what the table of architectures allows, with the tiny models that prove it.

python -m tests.native.architectures_page
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cluster.api.errors import UnsupportedModelError
from cluster.cutting.architectures import ARCHITECTURES, Architecture
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.header import Header
from cluster.cutting.rules import check
from ggml.gguf.header import TensorInfo
from tests.native.arch_models import architecture_of, descriptions, metadata_of, tensors_of
from tests.native.architectures_counts import counts_section
from tests.native.architectures_uncut import uncut_section

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"

HEAD = """# Architectures

<!-- Written by `python -m tests.native.architectures_page`; do not edit. -->

What may be cut, by llama.cpp's name of the architecture (`general.architecture`), as packaged in llama-cpp-python
0.3.36. The rules are one table, `cluster/cutting/architectures.py`; `cluster cuts MODEL` applies them to a file, and
says why a place is not among them. An architecture that is not here is refused before a byte of weights is read.

Each one that can be cut is proven by a tiny random model of it (`tests/native/test_architectures.py`): whole through
llama_cpp, whole through one slice, and cut at every legal place and at all of them at once; a prompt of 9 tokens, two
single tokens, then two slots at once. The logits are equal bit for bit, and the memory that `model_sizes` predicts for
the cache is what libllama reports. With the steps of `cluster verify`, the hidden rows in front of every legal cut are
those that llama_cpp computes alone.

What gives no next token but embeddings, or scores of documents, is served whole on one stage. Its vectors are held
against llama_cpp's own (`tests/native/slice/test_embedding.py`), as are those of models of next tokens that say how one
vector is made of a text (`{architecture}.pooling_type`): these are cut like any other.
"""


def header_of(name: str) -> Header:
    """The header of a tiny model, without its weights."""
    tensors, offset = [], 0
    for tensor in tensors_of(name):
        tensors.append(TensorInfo(tensor.name, tensor.shape, tensor.type, offset, tensor.size_bytes))
        offset += tensor.size_bytes
    return Header("tiny.gguf", 3, 32, metadata_of(name), tuple(tensors), 0, offset, 0)


def outcome_of(name: str) -> tuple[list[int], str]:
    """The legal cuts of a tiny model, or why there are none."""
    try:
        places = check(header_of(name)).places
    except UnsupportedModelError as error:
        return [], str(error).partition("cannot be cut: ")[2]
    refusals = [place.refusal_unless(False) for place in places]
    cuts = [place.layer for place, refusal in zip(places, refusals, strict=True) if not refusal]
    return cuts, "" if cuts else "; ".join(dict.fromkeys(refusals))


def rows() -> Iterator[tuple[str, str, str]]:
    """(architecture, where its tiny models may be cut, what a cut has to see to)."""
    models: dict[str, list[str]] = {}
    for name in descriptions():
        models.setdefault(architecture_of(name), []).append(name)
    for architecture, row in sorted(ARCHITECTURES.items()):
        if row.refusal:
            yield architecture, "no", row.refusal
            continue
        if row.is_encoder:
            yield architecture, "whole only", "; ".join(("embeddings and scores only", *notes(row)))
            continue
        if row.encodes_prompt:
            yield architecture, "everywhere in its decoder", "; ".join(notes(row))
            continue
        found = [_model(name) for name in models[architecture]]
        yield architecture, "; ".join(dict.fromkeys(found)), "; ".join(notes(row))


def _model(name: str) -> str:
    cuts, _ = outcome_of(name)
    num_layers = header_of(name).num_layers
    if not cuts and legal_cuts(check(header_of(name)), allow_rounding=True):
        return f"with `--allow-rounding` only ({num_layers} layers)"
    if not cuts:
        return f"whole only ({num_layers} layers)"
    if cuts == list(range(1, num_layers)):
        return f"everywhere ({num_layers} layers)"
    return f"at {', '.join(str(layer) for layer in cuts)} of {num_layers}"


def notes(row: Architecture) -> Iterator[str]:
    """The row in words."""
    if row.whole:
        yield row.whole
    yield from (f"whole only if {name} is set: {why}" for name, (_, why) in row.whole_if.items())
    for name, (is_so, why) in row.refused_if.items():
        yield f"not served if {name} is {'0' if is_so(0) else 'set'}: {why}"
    if row.encodes_prompt:
        yield "the first slice has all of the encoder, and what that makes of a prompt goes along to all decoder layers"
    if row.inputs[0] not in ("embd", "model.embed_tokens", "model.input_embed", "inp_embd") and not row.numbered:
        yield f"rows enter behind the embedding's own steps, at `{row.inputs[0]}`"
    if row.hands_on_first:
        yield "rows carry the first layer's values too, and slices have zeros for that layer in front"
    elif len(row.inputs) > 1 or isinstance(row.parts, int):
        yield "rows carry the embedding too"
    elif row.parts:
        yield f"rows carry the embedding too where {row.parts} is set"
    if row.planes > 1:
        yield f"{row.planes} rows for each token"
    if row.numbered:
        yield "slices have zeros for layers in front"
    if row.shared_from:
        yield f"layers from {row.shared_from} on, which share keys, are in the last slice with the two in front of them"
    if row.shared:
        yield f"layers that share keys ({row.shared}) are in the last slice, with the two that they share from"
    if row.blocks:
        yield f"rows carry what each block left where {row.blocks} is set, and slices have zeros for layers in front"
    if row.reads_tokens:
        yield "each slice finds by the tokens which adapter is switched on"
    if row.streams:
        yield "several residual streams"
    if row.window:
        yield "sliding windows"
    if row.recurrent:
        yield "running states: a slot cannot be truncated"
    if row.period > 1:
        yield f"layers repeat every {row.period}"
    if row.period_key:
        yield f"layers repeat every {row.period_key}"
    if row.indexer is not None:
        yield "not in front of a layer that uses the indexer of one before it"
    if row.factor is not None:
        yield f"{row.factor.why}: slices have the model's own factor"
    counts = [str(count) for count in sorted(row.counts)] + ([f"{row.at_least} or more"] if row.at_least else [])
    for count, twin in sorted(row.twins.items()):
        yield f"slices of a model of {count} layers call themselves `{twin}`, whose graph is the same"
    if counts and row.twins:
        yield f"the last slice of any other model may not have {' or '.join(counts)} layers"
    elif row.windowed:
        only = " or ".join(counts)
        yield f"slices of a model of {only} layers have windows set in their graph"
        yield f"the last slice of any other model may not have {only} layers"
    elif counts:
        yield f"{' or '.join(counts)} layers are computed in another way than other numbers"
    if row.rounded is not None:
        yield f"slices of these, which round otherwise, call themselves `{row.rounded.architecture}`"


def page() -> str:
    table = list(rows())
    num_cut = sum(where not in ("no",) and not where.startswith("whole only") for _, where, _ in table)
    lines = [
        HEAD,
        f"{num_cut} of {len(table)} can be cut.",
        "",
        "| architecture | tiny model cut | notes |",
        "|---|---|---|",
    ]
    lines += [f"| {architecture} | {where} | {why} |" for architecture, where, why in table]
    lines += ["", *counts_section(), "", *uncut_section()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
