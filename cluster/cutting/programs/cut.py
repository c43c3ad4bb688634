"""Cutting a program into slices, each of which is a file with a program in it: that of its units."""

from __future__ import annotations

from cluster.api.errors import UsageError
from cluster.cutting.cut import SlicePlan, plan_file
from cluster.cutting.planned import PlannedTensor
from cluster.cutting.programs.model import ProgramModel
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType
from ggml.io.naming import KEY as NAMES_KEY
from ggml.io.naming import to_json
from ggml.programs.encoding import encode
from ggml.programs.graph import KEY
from ggml.programs.recordings.recorded import KEY as RECORDINGS_KEY
from ggml.tokenizers.keys import PREFIX


def cut_program(model: ProgramModel, first: int, end: int) -> SlicePlan:
    """The slice [first, end) of its units. UsageError for an impossible range."""
    if not 0 <= first < end <= model.num_layers:
        raise UsageError(
            f"layers [{first}, {end}): the program has units [0, {model.num_layers}); choose 0 <= first < end"
        )
    graph = model.part(first, end)
    stored = model.stored(graph)
    raw, names = encode(graph), to_json([one for one, _ in stored])
    metadata = {
        key: value
        for key, value in model.header.metadata.items()
        if key not in (KEY, NAMES_KEY, RECORDINGS_KEY) and not key.startswith(PREFIX)
    }
    metadata[KEY] = MetadataValue(ValueType.ARRAY, MetadataArray(ValueType.UINT8, len(raw), raw))
    if names:
        metadata[NAMES_KEY] = MetadataValue(ValueType.STRING, names)
    start = model.header.data_start
    tensors = tuple(
        [
            PlannedTensor(info.name, info.shape, info.type, info.size_bytes, start + info.offset)
            for _, info in stored
            if info
        ]
    )
    return plan_file(first, end, model.num_layers, metadata, tensors)
