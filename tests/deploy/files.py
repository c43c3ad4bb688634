"""The files of deploy/, and the `cluster` commands that stand in them and in docs/deploy.md."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
PAGE = REPOSITORY / "docs" / "deploy.md"
CHART = DEPLOY / "helm" / "ggml-cluster"

# What stands before a command where it is run: in a shell, a unit, a manifest or a page. Prose is none of these.
_COMMAND = re.compile(r"(?:^[ \t]*|exec |-- |/bin/|`|\$\(|command: |&& |[\"'])cluster (?P<rest>[^\n`]*)", re.MULTILINE)
_LIST = re.compile(r"""\["?cluster"?,([^\]]*)\]""")
_ENDS = re.compile(r"\s\d?[<>|&;].*$|;.*$|\s#.*$|\)$")
# What only the shell, the template or the reader knows: a number will do for each of them.
_CHOSEN = re.compile(r"\$\(\(.*?\)\)|\$\{[^}]*\}|\$[\w@]\w*|\{\{.*?\}\}")


def written_files() -> list[Path]:
    """All files of deploy/, and the page about them."""
    return [*sorted(path for path in DEPLOY.rglob("*") if path.is_file()), *([PAGE] if PAGE.exists() else [])]


def commands(path: Path) -> list[list[str]]:
    """The arguments of every `cluster` command in the file; of comments only what they quote."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    if path.suffix == ".md":
        text = "\n".join(_code(text))
    else:
        text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#") or "`" in line)
    found = [_words(match["rest"]) for match in _COMMAND.finditer(text)]
    found += [[word.strip().strip('"') for word in match[1].split(",")] for match in _LIST.finditer(text)]
    return found


def _code(text: str) -> Iterator[str]:
    """The lines of a page that are code, and what is code within the others, a line each."""
    is_fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            is_fenced = not is_fenced
        elif is_fenced or line.startswith("    "):
            yield line.strip()
        else:
            yield from (f"`{code}`" for code in re.findall(r"`(cluster [^`]*)`", line))


def _words(rest: str) -> list[str]:
    text = _ENDS.sub("", _CHOSEN.sub("2", rest))
    for quote in "'\"":
        if text.count(quote) % 2:
            text = text.rpartition(quote)[0]
    return shlex.split(text)
