"""Secrets as arguments: taken out of sight, since all users of a machine can read the arguments of a process."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.api.errors import UsageError

MAX_BYTES = 4096
_FROM_FILE = "@"
_FROM_STDIN = "-"


def hide(option: str, arguments: Sequence[str]) -> None:
    """Start this command anew where the value of `option` stands in `arguments`: it gets it through a file without a
    name. The arguments were to be seen for some hundredths of a second. Returns where there is nothing to hide."""
    changed = list(arguments)
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name != option:
            continue
        if not equals:
            place, value = place + 1, (arguments[place + 1] if place + 1 < len(arguments) else "")
        if not value or value == _FROM_STDIN or value.startswith(_FROM_FILE):
            continue
        given = f"{_FROM_FILE}/proc/self/fd/{_unnamed_file(value)}"
        changed[place] = f"{option}={given}" if equals else given
    if changed != list(arguments):
        sys.stdout.flush()
        sys.stderr.flush()
        # -P: a folder named "cluster" where the user stands is not this package.
        os.execv(sys.executable, [sys.executable, "-P", "-m", "cluster", *changed])


def read_given(option: str, value: str) -> str:
    """What `value` stands for: itself, what is in @FILE, or on standard input for "-". UsageError.

    Errors name the option and never what was given for it.
    """
    if value == _FROM_STDIN:
        text = sys.stdin.read(MAX_BYTES + 1)
    elif value.startswith(_FROM_FILE):
        text = _read(option, Path(value[1:]))
    else:
        text = value
    if len(text) > MAX_BYTES or not text.strip():
        raise UsageError(f"{option}: nothing, or too much to be one; give it as it was printed")
    return text.strip()


def _unnamed_file(text: str) -> int:
    descriptor = os.memfd_create("hidden", 0)  # it outlives the start of the new program
    os.write(descriptor, text.encode("utf-8", "surrogateescape"))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _read(option: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1).decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{option}: {path}: {reason}; give a readable file after the @") from error
