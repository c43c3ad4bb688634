"""The libraries that `llama_cpp` has loaded, by ctypes. For child processes only: libllama may end its process."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp

from cluster.api.errors import ClusterError

FLASH_ATTN = {"auto": -1, "off": 0, "on": 1}


def device(name: str) -> int:
    """The ggml device of that name, as a pointer. ClusterError if there is none."""
    found = function("libggml.", "ggml_backend_dev_by_name", [ctypes.c_char_p])(name.encode())
    if not found:
        raise ClusterError(f"llama.cpp: no device {name!r} on this machine")
    return int(found)


def function(library: str, name: str, arguments: list[Any], result: Any = ctypes.c_void_p) -> Any:
    """A function of the library whose file name begins so; it returns a pointer unless told otherwise."""
    found = getattr(mapped_library(library), name)
    found.argtypes, found.restype = arguments, result
    return found


def mapped_library(beginning: str) -> ctypes.CDLL:
    """The library of that file name which libllama has loaded.

    A wheel holds each library under several names, as files of their own: opening another one than libllama did
    would load it a second time, with a device registry of its own.
    """
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        path = Path(line.split(maxsplit=5)[-1])
        if path.name.startswith(beginning):
            return ctypes.CDLL(str(path))
    raise ClusterError(f"llama.cpp: {beginning.rstrip('.')} is not part of the installed llama_cpp; build it again")


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def silent(level: int, text: bytes, data: object) -> None:
    """libllama reports to stderr otherwise."""
