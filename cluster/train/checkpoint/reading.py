"""Reading the elements of a checkpoint: every file that is needed is opened once, and its digest compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import ggml
from cluster.train.checkpoint.index import Index, Place
from cluster.train.checkpoint.pieces import Whole
from ggml.core.errors import FileFormatError
from ggml.io.nested import load_nested
from ggml.tensors.tensor import restore


class Reading:
    """The tensors of one checkpoint."""

    def __init__(self, folder: Path, index: Index) -> None:
        self._folder, self._index = folder, index
        self._files: dict[str, dict[str, Any]] = {}

    def elements(self, path: str, begin: int, end: int, shape: tuple[int, ...]) -> ggml.Tensor:
        """Elements [begin, end) of the tensor at `path`, padded with zeros to `shape`. FileFormatError."""
        whole, places = self._index.tensors[path]
        tensors = [(one, self._stored(path, whole, one)) for one in places if one.begin < end and begin < one.end]
        if len(tensors) == 1 and (begin, end) == (0, whole.numel) and shape == whole.shape:
            found = tensors[0][1]
            return restore(found.raw_bytes(), shape, found.dtype, "cpu")
        if not tensors:  # a rank behind the last element
            dtype = self._stored(path, whole, places[0]).dtype
            return ggml.zeros(shape, dtype=dtype)
        dtype = tensors[0][1].dtype
        size = dtype.block_bytes
        if dtype.is_quantized:
            raise FileFormatError(str(self._folder), path, "is quantised, and cannot be cut")
        raw = np.zeros(int(np.prod(shape)) * size, np.uint8)
        for place, tensor in tensors:
            first, last = max(begin, place.begin), min(end, place.end)
            stored = np.frombuffer(tensor.raw_bytes(), np.uint8)
            cut = stored[(first - place.begin) * size : (last - place.begin) * size]
            raw[(first - begin) * size : (last - begin) * size] = cut
        return restore(raw.tobytes(), shape, dtype, "cpu")

    def _stored(self, path: str, whole: Whole, place: Place) -> ggml.Tensor:
        file = self._folder / place.file
        if place.file not in self._files:
            if not file.is_file():
                raise FileFormatError(str(file), "file", "is missing: the index of the checkpoint names it")
            found = load_nested(file)
            if not isinstance(found, dict) or not isinstance(found.get("tensors"), dict):
                raise FileFormatError(str(file), "state", "is none of a part of a checkpoint")
            self._files[place.file] = found["tensors"]
        tensor = self._files[place.file].get(path)
        if not isinstance(tensor, ggml.Tensor) or tensor.numel() != place.end - place.begin:
            raise FileFormatError(str(file), path, f"is not there with {place.end - place.begin} elements")
        if tensor.dtype.name != whole.dtype:
            raise FileFormatError(str(file), path, f"is of {tensor.dtype.name}, of {whole.dtype} in the index")
        return tensor
