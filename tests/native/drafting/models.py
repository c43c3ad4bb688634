"""Models with the tokens of the shipped one that say something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cluster.cutting.header import read_header
from cluster.demo import model_path


def write_shuffled(path: Path, seed: int = 0) -> Path:
    """The shipped model with the blocks of each of its layers' matrices in random order."""
    header, data = read_header(model_path()), bytearray(Path(model_path()).read_bytes())
    rng = np.random.default_rng(seed)
    for tensor in header.tensors:
        if tensor.name.startswith("blk.") and len(tensor.shape) > 1:
            begin = header.data_start + tensor.offset
            blocks = np.frombuffer(data, np.uint8, tensor.size_bytes, begin).reshape(-1, tensor.type.block_bytes)
            data[begin : begin + tensor.size_bytes] = rng.permutation(blocks).tobytes()
    path.write_bytes(data)
    return path
