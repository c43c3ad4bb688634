"""What can be served: models that libllama knows, and programs. The one place that tells them apart by their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from cluster.cutting.cut import SlicePlan, cut, header_alone, plan_file
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.header import Header
from cluster.cutting.model import Model
from cluster.cutting.rules import check
from ggml.gguf.ours import PROGRAM
from ggml.tokenizers.keys import as_vocabulary, tokenizer_keys

if TYPE_CHECKING:
    from cluster.cutting.programs.model import ProgramModel

Servable: TypeAlias = "Model | ProgramModel"


def check_servable(header: Header) -> Servable:
    """What a header means, once for each opening of it. Errors as `check` and `check_program` have them."""
    if header.architecture != PROGRAM:
        return check(header)
    from cluster.cutting.programs.check import check_program  # all operations take a while to import

    return check_program(header)


def cut_servable(model: Servable, first: int, end: int, model_hash: str = "") -> SlicePlan:
    """The slice [first, end) of its layers, or units."""
    if isinstance(model, Model):
        return cut(model, first, end, model_hash)
    from cluster.cutting.programs.cut import cut_program

    return cut_program(model, first, end)


def cuts_of(model: Servable) -> tuple[int, ...]:
    """The layers, or units, in front of which it may be cut exactly."""
    return legal_cuts(model) if isinstance(model, Model) else tuple(range(1, model.num_layers))


def header_plan(model: Servable) -> SlicePlan:
    """All metadata and no tensors: the tokenizer of a model, the graph of a program that makes no text."""
    if isinstance(model, Model) or model.text is None:
        return header_alone(model.header, model.num_layers)
    return plan_file(0, 0, model.num_layers, as_vocabulary(tokenizer_keys(model.header.metadata)), ())
