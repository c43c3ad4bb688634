"""Refuses to run when another distribution has put its files into our ``ggml`` package."""

from __future__ import annotations

import os
import re
import sys

OURS = "ggml-cluster"

_METADATA = (".dist-info", ".egg-info")
_IS_IN_RECORD = re.compile(r'^"?ggml[/.]', re.MULTILINE)


def refuse_foreign_ggml() -> None:
    """Raise ImportError, naming the intruder, if a distribution other than ours provides ``ggml``.

    Both would write ``ggml/__init__.py`` into the same folder, and which one wins depends on the order of
    installation: calls would then fail in ways that name neither.
    """
    foreign = sorted(providers() - {OURS})
    if foreign:
        names = ", ".join(foreign)
        raise ImportError(
            f"ggml: also installed by {names}, whose files mix with those of {OURS}; "
            f"run: pip uninstall {' '.join(foreign)} && pip install --force-reinstall --no-deps {OURS}"
        )


def providers() -> set[str]:
    """The distributions on the path that install a top-level name ``ggml``.

    It reads what ``importlib.metadata.packages_distributions`` reads, in a twentieth of its time: this runs whenever
    a process only reads the header of a file.
    """
    found = set()
    for folder in dict.fromkeys(sys.path):
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith(_METADATA) and _provides_ggml(os.path.join(folder, name)):
                found.add(_distribution(name))
    return found


def _provides_ggml(metadata: str) -> bool:
    top_level = _text(os.path.join(metadata, "top_level.txt"))
    if top_level:
        return "ggml" in top_level.split()
    return _IS_IN_RECORD.search(_text(os.path.join(metadata, "RECORD"))) is not None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _distribution(metadata: str) -> str:
    """The name by which pip knows what ``NAME-VERSION.dist-info`` describes."""
    return metadata.rpartition(".")[0].partition("-")[0].replace("_", "-")
