"""Random LoRA adapters for a model's file, written with gguf-py: for tests only."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from cluster.cutting.header import read_header
from cluster.cutting.rules import OUTPUT, TOKEN_EMBEDDING

Matrices = Mapping[str, NDArray[Any]]


def matrices_of(model: Path, rank: int = 4, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """lora_a and lora_b for all matrices of the model, an embedding that is the head as well left out."""
    found: dict[str, NDArray[np.float32]] = {}
    shapes = {info.name: info.shape for info in read_header(model).tensors if len(info.shape) > 1}
    for name, shape in shapes.items():
        if name == TOKEN_EMBEDDING and OUTPUT not in shapes:
            continue
        if "_lerp_" in name:  # a vector, though of several extents
            continue
        is_table = name.endswith(TOKEN_EMBEDDING)
        rng = np.random.default_rng(zlib.crc32(name.encode()) + seed)
        *experts, num_out, num_in = shape
        a = (num_out, rank) if is_table else (*experts, rank, num_in)
        b = (num_in, rank) if is_table else (*experts, num_out, rank)
        found[f"{name}.lora_a"], found[f"{name}.lora_b"] = (
            rng.normal(0, 0.1, one).astype(np.float32) for one in (a, b)
        )
    return found


def write_adapter(
    path: Path,
    model: Path,
    matrices: Matrices | None = None,
    *,
    alpha: float | None = 8.0,
    general_type: str = "adapter",
    adapter_type: str = "lora",
    architecture: str = "",
    more: Callable[[gguf.GGUFWriter], object] | None = None,
) -> Path:
    """An adapter of `matrices`, by default for all of the model's; `more` may add keys."""
    writer = gguf.GGUFWriter(path, architecture or read_header(model).architecture)
    writer.add_string("general.type", general_type)
    writer.add_string("adapter.type", adapter_type)
    if alpha is not None:
        writer.add_float32("adapter.lora.alpha", alpha)
    if more is not None:
        more(writer)
    for name, values in (matrices_of(model) if matrices is None else matrices).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
