"""``ggml.load``: what a file is, by its first bytes, and what it holds."""

from __future__ import annotations

import os
import stat
from typing import Any

from ggml.core.errors import FileFormatError
from ggml.io import reading
from ggml.io.safetensors_file import is_safetensors, load_safetensors
from ggml.io.torch_zip import load_torch_zip
from ggml.ops.create.factories import Place
from ggml.tensors.tensor import Tensor


def load(f: Any, map_location: Place = None, *, weights_only: bool = True) -> Any:
    """What a file holds: of GGUF and safetensors a dict of tensors by name, of ``torch.save`` what was given to it.

    The first bytes say which it is. Tensors of GGUF lie in the mapped file: nothing is read before it is used, what is
    written into them stays in this process, and the file may be replaced meanwhile, but not cut short. Of the others
    they are copies. ``map_location`` moves all tensors to a device. Nothing that a file asks for is run, whatever
    ``weights_only`` says: a checkpoint of PyTorch that needs more than tensors, dicts, lists, tuples, numbers and
    strings is a FileFormatError, which names it. So is a file that is not sound; OSError where it cannot be opened.
    """
    path = reading.path_of("load", f)
    start, num_bytes = _start(path)
    if start[:4] == b"PK\x03\x04":
        return load_torch_zip(path, lambda tensor: _moved(tensor, map_location))
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        why = "is a bare pickle, as PyTorch wrote before 1.6, which is not read: load it there and save it again"
        raise FileFormatError(path, "file", why)
    if start[:4] != b"GGUF" and is_safetensors(start, num_bytes):
        return {name: _moved(tensor, map_location) for name, tensor in load_safetensors(path).items()}
    return reading.load(path, map_location)


def _start(path: str) -> tuple[bytes, int]:
    """The first bytes and the size of a regular file; of anything else nothing, which GGUF's reader then refuses."""
    # Opening a pipe must not wait for its writer.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError:  # a null character
        return b"", 0
    try:
        status = os.fstat(descriptor)
        return (os.read(descriptor, 16), status.st_size) if stat.S_ISREG(status.st_mode) else (b"", 0)
    finally:
        os.close(descriptor)


def _moved(tensor: Tensor, place: Place) -> Tensor:
    return tensor if place is None else tensor.to(place)
