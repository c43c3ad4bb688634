"""On the machine: compiles our extension for the Python that is there, into the folder that was unpacked.

    python3 install.py SITE               # with CMake; a minute on 16 cores at most
    python3 install.py --libraries        # prints the folders of CUDA's libraries, for LD_LIBRARY_PATH

Needs nothing but the standard library: nothing of ours can be imported yet.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path


def main(argument: str) -> int:
    if argument == "--libraries":
        print(":".join(map(str, cuda_folders())))
        return 0
    site = Path(argument).resolve()
    compile_extension(site)
    code = "import worker_native as w; print(w.build(), *[f'{d.name}: {d.description}' for d in w.devices()], sep='; ')"
    return subprocess.run([sys.executable, "-c", code], cwd=site, env=_environment(site), check=False).returncode


def cuda_folders() -> list[Path]:
    """Those of the packages that PyTorch brought along, then those of an installed toolkit."""
    found = importlib.util.find_spec("nvidia")
    places = [Path(place) for place in found.submodule_search_locations or ()] if found else []
    folders = [folder for place in places for folder in sorted(place.glob("*/lib"))]
    folders += [Path("/usr/local/cuda/lib64")]
    return [folder for folder in folders if any(folder.glob("libcu*.so*"))]


def compile_extension(site: Path) -> None:
    """A plain CMake call: find_package(llama) and nanobind come from the same folder."""
    source, build = site / "worker_native", site.parent / "build"
    generator = ["-G", "Ninja"] if _find("ninja") else []
    options = [
        f"-DPython_EXECUTABLE={sys.executable}",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DWORKER_NATIVE_WERROR=OFF",  # another compiler has other warnings
        f"-DCMAKE_INSTALL_PREFIX={site}",
    ]
    cores = str(len(os.sched_getaffinity(0)))
    for arguments in (
        ["-S", str(source), "-B", str(build), *generator, *options],
        ["--build", str(build), "--parallel", cores],
        ["--install", str(build)],
    ):
        subprocess.run([_find("cmake") or "cmake", *arguments], env=_environment(site), check=True)


def _find(program: str) -> str | None:
    """On the path, or beside this Python."""
    return shutil.which(program, path=_path())


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def _environment(site: Path) -> dict[str, str]:
    libraries = [*map(str, cuda_folders()), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        **os.environ,
        "PATH": _path(),
        "PYTHONPATH": str(site),
        "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
