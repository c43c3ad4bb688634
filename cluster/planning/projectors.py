"""Whether a model can be given pictures by the file that is named for that."""

from __future__ import annotations

from cluster.api.errors import UnsupportedModelError
from cluster.cutting.limits import MAX_ROW_WIDTH
from cluster.cutting.model import Model
from cluster.pictures.projector import check_fits, open_projector
from cluster.pictures.projectors.kind import ProjectorKind


def check_projector(path: str | None, model: Model) -> None:
    """Nothing without a file. UsageError unless it is one for pictures, and fits the model; UnsupportedModelError."""
    if path is None:
        return
    projector = open_projector(path)
    if why := _refusal(projector.kind, model):
        raise UnsupportedModelError(f"mmproj: {model.architecture} cannot be given pictures here: {why}; leave it out")
    check_fits(projector, model.picture_width, model.architecture)


def _refusal(kind: ProjectorKind, model: Model) -> str:
    if model.row.is_encoder:
        return "it makes no text"
    if kind.architectures and model.architecture not in kind.architectures:
        return f"{kind.name} projectors are for {' and '.join(sorted(kind.architectures))}"
    if not kind.architectures and model.key("rope.dimension_sections") in model.header.metadata:
        return (
            f"its positions have several sections, which pictures of {kind.name} projectors have not been compared in"
        )
    if len(model.row.inputs) > 1 or model.row_width != model.hidden_width:
        return "its layers need more of a token than one row"
    if model.picture_width > MAX_ROW_WIDTH:
        return f"a row of a picture would have {model.picture_width} values, at most {MAX_ROW_WIDTH} may go to a stage"
    return ""
