"""Projects of CMake, built for tests against the llama.cpp of the Python package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[4]


def packages() -> Path:
    """Where llama.cpp is installed, and its configuration for CMake."""
    found = find_spec("llama_cpp")
    assert found is not None and found.origin is not None
    return Path(found.origin).parents[1]


def built(source: Path, folder: Path, *options: str) -> Path:
    """The folder with what the project makes. Compiled files are taken from ccache where there is one."""
    cmake = shutil.which("cmake", path=str(Path(sys.executable).parent)) or shutil.which("cmake")
    assert cmake is not None, "cmake is missing"
    launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    prefix = f"-DCMAKE_PREFIX_PATH={packages()}"
    for command in (
        [cmake, "-S", str(source), "-B", str(folder), *generator, *launcher, prefix, *options],
        [cmake, "--build", str(folder)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=1500)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder
