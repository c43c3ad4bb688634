"""Programs and packages that others wrote, in environments of their own: made when a test first asks for them.

They lie in the user's cache and stay there. Where they cannot be had, for want of a net or of npm, a test is skipped.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cluster.node.xdg import cache_folder

# What is written in Python, by the name of its environment: no two of them want the same versions of other packages,
# and the first one an older openai than ours.
PYTHON = {
    "python": ("litellm==1.110.2", "langchain-openai==1.7.4", "instructor==1.17.0"),
    "aiperf": ("aiperf==0.13.0",),
}
PROGRAMS = {
    "codex": "@openai/codex@0.171.0",
    "claude": "@anthropic-ai/claude-code@2.1.197",
    "opencode": "opencode-ai@1.18.33",
    "cn": "@continuedev/cli@1.5.47",
}
INSTALL_S = 1800
_FOLDER = cache_folder("test-clients")  # looked up before a test moves the cache


def python(name: str = "python", command: str = "python") -> Path:
    """A command of an environment that has the packages of PYTHON: its interpreter, or what they bring."""
    packages = PYTHON[name]

    def make(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *packages])

    return _made(f"{name}-{_digest(packages)}", make) / "bin" / command


def program(name: str) -> Path:
    """One of PROGRAMS, with npm's own way to install it."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not there")
    package = PROGRAMS[name]

    def make(folder: Path) -> None:
        folder.mkdir()
        _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package])

    return _made(f"{name}-{_digest((package,))}", make) / "node_modules" / ".bin" / name


def _made(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name, whole: one that was begun and not ended is made anew. One process at a time."""
    folder, is_whole = _FOLDER / name, _FOLDER / f"{name}.made"
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            try:
                make(folder)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                said = str(getattr(error, "stderr", "") or "")[-500:]
                pytest.skip(f"{name} cannot be installed: {said}")
            is_whole.touch()
    return folder


def _run(command: Sequence[str]) -> None:
    """With this process's own environment, which has the proxies and indexes of its machine."""
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S, env=dict(os.environ))


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join((sys.version, *names)).encode()).hexdigest()[:12]
