"""Programs that make text: those that take token ids and keep what they need of the tokens before. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ggml.core.errors import ArgumentError
from ggml.generation.forms import TextForm, keeps_by_position, text_form
from ggml.gguf.value import MetadataValue
from ggml.programs.expressions import Extent
from ggml.programs.graph import Graph, Ref, Role, TensorSpec
from ggml.programs.slices.places import Place, spec_of
from ggml.tokenizers.keys import num_tokens, tokenizer_keys


@dataclass(frozen=True, slots=True)
class ProgramText:
    """What a cluster knows of such a program."""

    form: TextForm
    vocab_size: int  # of its tokenizer; there may be more logits
    can_truncate: bool  # its states have a place for each token, no running values
    row_width: int  # floats of a token on its way from stage to stage; 0 where it cannot be cut
    last_logits_only: bool  # a call gives those of its last token


def text_of(
    graph: Graph, places: Sequence[Place], metadata: Mapping[str, MetadataValue]
) -> tuple[ProgramText, tuple[Place, ...]]:
    """What a program is that keeps something between calls, and the places at which a cluster may cut it: where one
    row of floats for each token crosses, beside token ids and positions, and all of the same width.

    ValueError says what is in the way.
    """
    try:
        form = text_form(graph)
    except ArgumentError as error:
        raise ValueError(str(error)) from None
    if form.num_rows not in (None, 1) or form.symbols(graph, 1, 1) is None:
        raise ValueError("each slot of a cluster is one text: export it with a batch of 1")
    logits = _logits(graph, form)
    vocab_size = _vocab_size(logits, num_tokens(metadata) if tokenizer_keys(metadata) else 0)
    widths = {place.node: width for place in places if (width := _row_width(graph, place, form)) is not None}
    row_width = max(Counter(widths.values()).items(), key=lambda one: (one[1], one[0]), default=(0, 0))[0]
    text = ProgramText(form, vocab_size, keeps_by_position(graph, form), row_width, form.count not in logits.shape)
    return text, tuple([place for place in places if widths.get(place.node) == row_width])


def _logits(graph: Graph, form: TextForm) -> TensorSpec:
    """Of the first result. ValueError where that is something else."""
    output = next((one for one in graph.outputs if one.role is Role.USER), None)
    spec = spec_of(graph, output.value.value) if output is not None and isinstance(output.value, Ref) else None
    between = spec.shape[1:-1] if spec is not None and spec.dtype.is_floating_point and len(spec.shape) > 1 else None
    if spec is None or between not in ((), (form.count,), (1,)):
        raise ValueError("its first result are no logits [batch, tokens, vocabulary] or [batch, vocabulary]")
    return spec


def _vocab_size(logits: TensorSpec, given: int) -> int:
    """Tokens of the tokenizer, which has so many `given`; for each there has to be a logit. ValueError."""
    if not given:
        raise ValueError('it has no tokenizer: save it with one, as in save("model.ggp", tokenizer="tokenizer.json")')
    most = logits.shape[-1]
    if not isinstance(most, int) or most < given:
        raise ValueError(f"it gives {most} logits, and its tokenizer has {given} tokens; save it with its own")
    return given


def _row_width(graph: Graph, place: Place, form: TextForm) -> int | None:
    """Floats that cross for each token; None where what crosses is no such row."""
    names = {form.ids, *form.positions}
    crossing = [value for value in place.values if value >= len(graph.inputs) or graph.inputs[value].name not in names]
    spec = spec_of(graph, crossing[0]) if len(crossing) == 1 else None
    return None if spec is None else _width(spec, form)


def _width(spec: TensorSpec, form: TextForm) -> int | None:
    """Elements for each token of a tensor whose first axis that is not 1 has a place for each."""
    shape = list[Extent](spec.shape)
    while shape and shape[0] != form.count and shape[0] in (1, form.batch):
        shape.pop(0)
    if not shape or shape.pop(0) != form.count or not spec.dtype.is_floating_point:
        return None
    width = 1
    for extent in shape:
        if not isinstance(extent, int):
            return None
        width *= extent
    return width or None
