"""One embedding with a part for each layer, chosen by the token: a table with columns for each, and a product.

gemma4.cpp and gemma3n.cpp in llama.cpp's src/models: project_per_layer_inputs.
"""

from __future__ import annotations

from cluster.cutting.architectures import Architecture
from cluster.cutting.header import Header
from cluster.cutting.model import Model

TABLE = "per_layer_token_embd"  # (vocabulary, layers x part)
PRODUCT = "per_layer_model_proj"  # (layers x part, width of the model)
MAX_ROW_BYTES = 1 << 20  # of the table, which is read by rows; 35 layers of 256 values take 36 KB at most


def check_parts(header: Header, row: Architecture) -> int:
    """The width of each layer's part, 0 without. ModelFileError where the tensors are not as the key says."""
    if not row.parts:
        return 0
    width = row.parts if isinstance(row.parts, int) else header.uint32(f"{header.architecture}.{row.parts}", 0)
    shapes = {info.name: info.shape for info in header.tensors}
    all_widths = width * header.num_layers
    for name, axis in ((f"{TABLE}.weight", 1), (f"{PRODUCT}.weight", 0)):
        shape = shapes.get(name)
        if width == 0:
            if shape is not None:
                raise header.error(f"tensor {name!r}", f"is there, but {row.parts} is 0")
        elif shape is None or len(shape) != 2 or shape[axis] != all_widths:
            raise header.error(f"tensor {name!r}", f"shape {shape}, must have {all_widths} for all layers")
    return width


def refusal(model: Model) -> str:
    """Why the parts cannot be told from one another; empty where they can."""
    if model.part_width == 0:
        return ""
    table = next(info for info in model.header.tensors if info.name == f"{TABLE}.weight")
    if model.part_width % table.type.block_size:
        return f"{TABLE} packs {table.type.block_size} values, and a layer has {model.part_width}"
    if table.type.row_bytes(table.shape[1]) > MAX_ROW_BYTES:
        return f"a row of {TABLE} takes more than {MAX_ROW_BYTES} bytes"
    return ""
