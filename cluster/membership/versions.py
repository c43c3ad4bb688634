"""The versions that a node takes part with: the head and its nodes must run the same."""

from __future__ import annotations

import platform
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version

from cluster.messages.membership import Versions
from cluster.messages.stage import PROTOCOL_VERSION

# Ray refuses nodes of another Ray or another Python, much later and in other words; actors' code travels between
# nodes; and another libllama computes other numbers.
MUST_AGREE = {
    "program": ("ggml-cluster", "install that version here"),
    "protocol": ("protocol", "install the head's version of ggml-cluster here"),
    "python": ("Python", "use that Python here"),
    "ray": ("Ray", "pip install ray=={} here"),
    "llama": ("llama-cpp-python", "pip install llama-cpp-python=={} here"),
}


def this_version() -> Versions:
    """Of this process. Packages that are missing have the version "none"."""
    return Versions(
        program=_version("ggml-cluster"),
        protocol=PROTOCOL_VERSION,
        python=platform.python_version(),
        ray=_version("ray"),
        llama=_version("llama-cpp-python"),
        platform=f"{platform.system()} {platform.machine()}"[:64],
    )


def differences(head: Versions, node: Versions) -> list[str]:
    """What keeps a node of these versions out, each as a clause with both values; empty if nothing does."""
    assert set(MUST_AGREE) < {field.name for field in fields(Versions)}
    found = []
    for name, (shown, advice) in MUST_AGREE.items():
        ours, theirs = getattr(head, name), getattr(node, name)
        if ours != theirs:
            found.append(f"{shown} is {theirs} here and {ours} on the head; {advice.format(ours)}")
    return found


def _version(package: str) -> str:
    try:
        return version(package)[:64]
    except PackageNotFoundError:
        return "none"
