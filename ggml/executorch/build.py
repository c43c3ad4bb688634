"""``python -m ggml.executorch.build``: compiles the delegate for this machine, into the user's cache.

Needs CMake 3.28 (``pip install cmake``), a compiler for C++20, and the package executorch. Takes some minutes, once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from ggml.executorch.library import DELEGATE, NATIVE, path

_OLDEST_CMAKE = (3, 28)


def build(target: Path) -> None:
    """Compile the library, which appears under ``target`` when it is whole. SystemExit says what is missing."""
    cmake = _cmake()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ggml-executorch-") as folder:
        prefixes = f"{_package('executorch')};{_package('llama_cpp').parent}"
        options = [f"-DCMAKE_PREFIX_PATH={prefixes}", f"-DWORKER_NATIVE={NATIVE}"]
        if shutil.which("ninja"):
            options += ["-G", "Ninja"]
        if shutil.which("ccache"):
            options += ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"]
        _run([cmake, "-S", str(DELEGATE), "-B", folder, *options])
        _run([cmake, "--build", folder, "--parallel", str(os.cpu_count() or 1)])
        whole = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copy2(Path(folder) / target.name, whole)
        os.replace(whole, target)


def _run(command: list[str]) -> None:
    if subprocess.run(command).returncode != 0:
        sys.exit("ggml.executorch.build: the build failed; see its message above")


def _package(name: str) -> Path:
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        sys.exit(f"ggml.executorch.build: the package {name} is missing; pip install 'ggml-cluster[executorch]'")
    return Path(next(iter(found.submodule_search_locations)))


def _cmake() -> str:
    """The first CMake that is new enough: that of this Python's environment, then that of the path."""
    for place in (str(Path(sys.executable).parent), None):
        found = shutil.which("cmake", path=place)
        if found is None:
            continue
        text = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        match = re.search(r"(\d+)\.(\d+)", text)
        if match and (int(match[1]), int(match[2])) >= _OLDEST_CMAKE:
            return found
    sys.exit("ggml.executorch.build: CMake 3.28 or newer is missing; pip install cmake")


def main() -> None:
    """Build, unless it is there."""
    target = path()
    if target.exists():
        print(f"{target} is there already")
        return
    build(target)
    print(f"{target} is built")


if __name__ == "__main__":
    main()
