"""Whether a model can be given pictures by the file that is named for that."""

from __future__ import annotations

from cluster.api.errors import CapacityError, UnsupportedModelError
from cluster.config import ClusterConfig
from cluster.cutting.limits import MAX_ROW_WIDTH
from cluster.cutting.model import Model
from cluster.pictures.projector import check_fits, check_room, open_projector
from cluster.pictures.projectors.kind import ProjectorKind
from cluster.planning.nodes import Nodes, Taken

_DEVICE = "CPU"  # where pictures are encoded


def beside_encoder(config: ClusterConfig, nodes: Nodes) -> Nodes:
    """The nodes as they are once the encoder of pictures has its memory on the head; the same where there is none.

    CapacityError where it does not fit there; errors as for `open_projector`.
    """
    if config.mmproj is None:
        return nodes
    projector, head = open_projector(config.mmproj), nodes.facts[0]
    device = head.device(_DEVICE)
    if device is None:
        return nodes
    usable = int(device.memory_free_bytes * (1 - config.headroom))
    if projector.memory_bytes > usable:
        raise CapacityError(
            f"mmproj: {projector.path} needs {projector.memory_bytes / 2**20:,.1f} MiB, {head.name}/{_DEVICE} has "
            f"{usable / 2**20:,.1f} MiB for it; give a smaller one, or leave --mmproj out"
        )
    return Taken(nodes, head.name, _DEVICE, projector.memory_bytes)


def check_projector(path: str | None, model: Model, ubatch_size: int) -> None:
    """Nothing without a file. UsageError unless it is one for pictures, fits the model, and its pictures microbatches
    of `ubatch_size` rows, where they have to; UnsupportedModelError."""
    if path is None:
        return
    projector = open_projector(path)
    if why := _refusal(projector.kind, model):
        raise UnsupportedModelError(f"mmproj: {model.architecture} cannot be given pictures here: {why}; leave it out")
    check_fits(projector, model.picture_width, model.architecture)
    check_room(projector, ubatch_size)


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
