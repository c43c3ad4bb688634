"""Builds the wheel of llama-cpp-python once per set of build flags, and prints the folder that holds it.

pip's own wheel cache ignores CMAKE_ARGS: after one build, `CMAKE_ARGS=-DGGML_CUDA=on pip install` silently
returns the CPU build. Here the folder's name is a hash of everything the result depends on.

    python worker_native/build_llama.py      # prints the folder; progress goes to stderr
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REQUIREMENT = "llama-cpp-python==0.3.36"
# The RPC backend is llama.cpp's own way to several machines; the benchmark compares against it.
# Pictures in prompts are encoded by llama.cpp's mtmd. Without its video part: that starts ffmpeg for bytes that it
# cannot read itself.
BASE_FLAGS = "-DGGML_RPC=ON -DMTMD_VIDEO=OFF"
# GCC before 13 miscompiles ggml's AMX tile setup: the first quantised product dies with SIGSEGV.
NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
SHOWN_RUN = Path(__file__).with_name("shown_run.py")
OPTIONS = Path(__file__).with_name("llama_options.cmake")


def main() -> int:
    flags = cmake_args()
    folder = cache_folder(flags)
    if not any(folder.glob("llama_cpp_python-*.whl")):
        build(flags, folder)
    print(folder)
    return 0


def cmake_args() -> str:
    """Our flags, the user's CMAKE_ARGS after them (so that theirs win), and the AMX guard where it is needed."""
    flags = f"{BASE_FLAGS} {os.environ.get('CMAKE_ARGS', '')}".strip()
    if "amx_tile" in cpu_description() and gcc_major() < 13 and "AMX" not in flags.upper():
        flags += f' "-DCMAKE_C_FLAGS={NO_AMX}" "-DCMAKE_CXX_FLAGS={NO_AMX}"'
    return flags


def cpu_description() -> str:
    """The features of this CPU, on which `-march=native` depends."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    match = re.search(r"^(flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return match.group(2) if match else platform.processor()


def compiler_version() -> str:
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        sys.exit(f"{compiler}: no such C++ compiler; on Debian and Ubuntu run: apt-get install g++")
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout


def gcc_major() -> int:
    """Major version of GCC; 99 for any other compiler."""
    first_line = compiler_version().splitlines()[0]
    match = re.search(r"(\d+)\.\d+\.\d+", first_line)
    return 99 if "clang" in first_line.lower() or match is None else int(match.group(1))


def cache_folder(flags: str) -> Path:
    parts = [
        REQUIREMENT,
        flags,
        OPTIONS.read_text(encoding="utf-8"),  # not its path: every checkout has one of its own
        cpu_description(),
        compiler_version(),
        platform.machine(),
        *build_environment(),
    ]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "ggml-cluster" / "wheels" / key


def build_environment() -> list[str]:
    return [f"{name}={os.environ[name]}" for name in ("CFLAGS", "CXXFLAGS", "CC", "CUDACXX") if name in os.environ]


def build(flags: str, folder: Path) -> None:
    """Compile into a temporary folder, then move the wheel into place."""
    folder.mkdir(parents=True, exist_ok=True)
    print("compiling llama.cpp, once for this machine (about 2 minutes on 2 cores)", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        log = folder / "build.log"
        command = [sys.executable, str(SHOWN_RUN), str(log), sys.executable, "-m", "pip", "wheel", "--verbose"]
        command += ["--no-deps", "--no-cache-dir", "--no-binary", "llama-cpp-python", "--wheel-dir", temporary]
        include = f'"-DCMAKE_PROJECT_llama.cpp_INCLUDE={OPTIONS}"'
        environment = {**os.environ, "CMAKE_ARGS": f"{flags} {include}"}
        code = subprocess.run([*command, REQUIREMENT], env=environment, check=False).returncode
        wheels = list(Path(temporary).glob("*.whl"))
        if code != 0 or not wheels:
            sys.exit(f"llama.cpp: the build failed; the whole log is {log}")
        wheels[0].replace(folder / wheels[0].name)


if __name__ == "__main__":
    sys.exit(main())
