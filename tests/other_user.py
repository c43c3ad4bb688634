"""A second user of this machine, for what only shows between two: tests need to be root to become one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

OTHER_UID = 12345

needs_other_user = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def run_as_other(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python's `script` as a user without groups or rights; ``sys.argv[1:]`` are `arguments`."""
    # The interpreter may lie where the other user has no way in, so it is loaded before the rights are given up.
    become = f"import encodings.idna, json, os, socket, stat, sys, time; os.setgroups([]); os.setgid({OTHER_UID}); "
    become += f"os.setuid({OTHER_UID})\n"
    command = [sys.executable, "-I", "-c", become + script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
