"""What is said to those who type a verb of another tool, or none."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import Any

# What the same thing is called by docker, ollama, vllm, llama.cpp and systemctl.
SYNONYMS = {
    "complete": "run",
    "generate": "run",
    "help": "--help",
    "info": "status",
    "interactive": "chat",
    "kill": "down",
    "list": "status",
    "ls": "status",
    "ps": "status",
    "repl": "chat",
    "server": "up",
    "start": "up",
    "stop": "down",
    "version": "--version",
}
_CHOICE = re.compile(r"argument VERB: invalid choice: '(.*?)' \(choose from (.*)\)", re.DOTALL)


def verb_hint(message: str) -> str:
    """argparse's `message`, or a shorter one that names the nearest verb where an unknown one was typed."""
    found = _CHOICE.fullmatch(message)
    if found is None:
        return message
    word, listed = found.groups()
    verbs = re.findall(r"[\w-]+", listed)
    near = SYNONYMS.get(word.lower()) or next(iter(difflib.get_close_matches(word.lower(), verbs, 1, 0.5)), None)
    return f"{word!r} is no verb; " + (f"did you mean: cluster {near}" if near else f"give one of {', '.join(verbs)}")


class ShowVersion(argparse.Action):
    """``--version``: of this package, and of those that decide what comes out."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the versions of the cluster, llama.cpp and Ray")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        named = [f"{name} {version(name)}" for name in ("ggml-cluster", "llama-cpp-python", "ray")]
        print(", ".join(named))
        parser.exit()
