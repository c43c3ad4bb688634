"""The delegate's library: where it lies, for which versions, and how a process gets it."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path

import worker_native

#: Where the project of CMake for the delegate lies, and the sources of native graphs.
DELEGATE = Path(__file__).parent / "delegate"
NATIVE = Path(worker_native.__file__).parent

_NAME = "libggml_executorch.so"
_SUFFIXES = (".cpp", ".h", ".cmake", ".txt")


def path() -> Path:
    """Where the library lies once it is built: in the user's cache, apart for each version of anything in it."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ggml-cluster" / "executorch" / _key() / _NAME


@functools.cache
def register() -> None:
    """Make the delegate known to ExecuTorch's runtime in this process, before a program that uses it is loaded.

    FileNotFoundError where it was not built; OSError where it cannot be loaded.
    """
    found = path()
    if not found.exists():
        raise FileNotFoundError(f"{found}: the delegate is not built; run python -m ggml.executorch.build")
    # ExecuTorch's runtime must be there first, for the library to find: it is the one of the package.
    import executorch.runtime  # noqa: F401

    ctypes.CDLL(str(found))


@functools.cache
def _key() -> str:
    """Of sources, versions and machine: whatever differs is another library."""
    digest = hashlib.sha256()
    for one in (version("executorch"), version("llama-cpp-python"), platform.machine(), platform.libc_ver()[1]):
        digest.update(one.encode() + b"\0")
    for folder in (DELEGATE, NATIVE):
        for file in sorted(one for one in folder.rglob("*") if one.suffix in _SUFFIXES):
            digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:20]
