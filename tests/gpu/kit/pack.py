"""Makes the archive that travels: our sources, llama.cpp's wheel and the few others that are needed, in one folder.

The folder `site` in it is a place on Python's path: wheels are unpacked there, and our packages lie beside them. The
wheel of llama-cpp-python is for any Python 3; our extension is compiled on the machine, for the Python that is there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
PACKAGES = ("cluster", "ggml", "protos", "worker_native", "tests")
# Beside what a machine with PyTorch, NumPy, pytest and hypothesis has; in the versions that are installed here.
NEEDED = ("diskcache", "gguf", "grpcio", "nanobind", "protobuf")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
# Of llama.cpp's wheel: programs, and libraries for them, are not ours to run.
LEFT_OUT = ("bin/", "libllama-common", "libmtmd")
ARCHIVE, SCRIPT = "kit.tar.xz", "run.sh"


def pack(wheel: Path, out: Path, python: str, wheels: Path | None, part_bytes: int, note: Callable[[str], None]) -> int:
    """Write the archive and run.sh to the folder `out`; its size in bytes, in parts of at most `part_bytes`.

    `wheel`: llama-cpp-python's. `python`: the version there, as "3.12". `wheels`: a folder with what is NEEDED; None
    downloads it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kit-pack-") as temporary:
        folder = Path(temporary)
        site = folder / "site"
        site.mkdir()
        _unpack(wheel, site, LEFT_OUT)
        note(f"{wheel.name}: {_mib(_size(site))}")
        if wheels is None:
            wheels = folder / "wheels"
            _download(wheels, python)
        for found in sorted(wheels.glob("*.whl")):
            _unpack(found, site)
            note(f"{found.name}: {_mib(found.stat().st_size)}")
        _strip(site)
        _link_same(site)
        note(f"stripped, each file once: {_mib(_size(site))}")
        before = _size(site)
        _copy_sources(site)
        note(f"our sources: {_mib(_size(site) - before)}")
        parts = _archive(site, out, part_bytes)
    shutil.copy(Path(__file__).with_name(SCRIPT), out / SCRIPT)
    total = sum(part.stat().st_size for part in parts)
    note(f"{', '.join(f'{part.name} {_mib(part.stat().st_size)}' for part in parts)}; together {_mib(total)}")
    return total


def _unpack(wheel: Path, site: Path, left_out: Sequence[str] = ()) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not any(part in name for part in left_out):
                archive.extract(name, site)


def _download(folder: Path, python: str) -> None:
    platforms = [argument for platform in PLATFORMS for argument in ("--platform", platform)]
    wanted = [f"{name}=={version(name)}" for name in NEEDED]
    options = ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, *platforms, "-d", str(folder), *wanted]
    subprocess.run(command, check=True)


def _strip(site: Path) -> None:
    """Symbols that no loader looks at."""
    if shutil.which("strip") is None:
        return
    for path in site.rglob("*.so*"):
        if path.is_file():
            subprocess.run(["strip", "--strip-unneeded", str(path)], check=False, stderr=subprocess.DEVNULL)


def _link_same(site: Path) -> None:
    """Wheels have no links: a library lies in them under each of its names, and the archive has it once."""
    known: dict[str, Path] = {}
    for path in sorted(site.rglob("*")):
        if path.is_file() and not path.is_symlink() and ".so" in path.name:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            first = known.setdefault(digest, path)
            if first != path:
                path.unlink()
                os.link(first, path)


def _copy_sources(site: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, site / name)


def _archive(site: Path, out: Path, part_bytes: int) -> list[Path]:
    """Compressed, and cut where one part would be too large to carry."""
    for old in out.glob(f"{ARCHIVE}*"):
        old.unlink()
    whole = out / ARCHIVE
    with tarfile.open(whole, "w:xz", preset=6) as archive:
        archive.add(site, "site")
    if whole.stat().st_size <= part_bytes:
        return [whole]
    parts = []
    with whole.open("rb") as file:
        while content := file.read(part_bytes):
            parts.append(out / f"{ARCHIVE}.{len(parts)}")
            parts[-1].write_bytes(content)
    whole.unlink()
    return parts


def _size(folder: Path) -> int:
    """Bytes of the files, each once, however many names it has."""
    seen = {(stat.st_dev, stat.st_ino): stat.st_size for path in folder.rglob("*") if (stat := path.lstat()).st_mode}
    return sum(seen.values())


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB"
