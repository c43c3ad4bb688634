"""Whether a model can be given pictures by the file that is named for that."""

from __future__ import annotations

from cluster.api.errors import UnsupportedModelError
from cluster.cutting.model import Model
from cluster.pictures.projector import check_fits, open_projector


def check_projector(path: str | None, model: Model) -> None:
    """Nothing without a file. UsageError unless it is one for pictures, and fits the model; UnsupportedModelError."""
    if path is None:
        return
    check_fits(open_projector(path), model.hidden_width, model.architecture)
    why = ""
    if model.row.is_encoder:
        why = "it makes no text"
    elif model.key("rope.dimension_sections") in model.header.metadata:
        why = "rows of pictures have positions in several sections there"
    elif len(model.row.inputs) > 1 or model.row_width != model.hidden_width:
        why = "its layers need more of a token than one row"
    if why:
        raise UnsupportedModelError(f"mmproj: {model.architecture} cannot be given pictures here: {why}; leave it out")
