"""Which series and labels an expression of Prometheus asks for. No more of the language than our files use."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_TOKEN = re.compile(rf'\s*(?:({_NAME})|(\d+(?:\.\d+)?)|("[^"]*")|(\$\w+)|([-+*/%^]|[<>=!]=?~?|[(){{}}\[\],]))')
FUNCTIONS = {"rate", "changes", "histogram_quantile", "sum", "max", "min"}
_KEYWORDS = {"by", "without", "and", "or", "unless", "on", "ignoring"}
_WINDOW = re.compile(r"\[(?:\d+[smhd]|\$__rate_interval)\]")
_SELECTED = re.compile(rf"({_NAME})(?:\{{([^}}]*)\}})?")
_GROUPED = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
_MATCHER = re.compile(rf'\s*({_NAME})\s*(?:=~|!~|!=|=)\s*"[^"]*"\s*')


@dataclass(frozen=True)
class Asked:
    """Of one expression."""

    series: frozenset[str]
    labels: frozenset[str]  # that are matched or grouped by


def asked(expression: str) -> Asked:
    """ValueError for what is no expression of this small language."""
    _check_brackets(expression)
    labels = {name.strip() for group in _GROUPED.findall(expression) for name in group.split(",")}
    bare = _WINDOW.sub("", _GROUPED.sub("", expression))
    if "[" in bare:
        raise ValueError(f"no window of time: {expression}")
    _check_tokens(bare)
    series = set()
    for match in _SELECTED.finditer(re.sub(r"\b\d[\w.]*", "", _without_matchers(bare, labels))):
        name = match[1]
        if name in FUNCTIONS or name in _KEYWORDS:
            continue
        series.add(name)
    return Asked(frozenset(series), frozenset(labels))


def _without_matchers(expression: str, labels: set[str]) -> str:
    """The expression without {...}, whose labels are added."""

    def take(found: re.Match[str]) -> str:
        for matcher in found[1].split(","):
            label = _MATCHER.fullmatch(matcher)
            if label is None:
                raise ValueError(f"no matcher: {matcher!r}")
            labels.add(label[1])
        return ""

    return re.sub(r"\{([^}]*)\}", take, expression)


def _check_brackets(expression: str) -> None:
    open_ones: list[str] = []
    pairs = {")": "(", "]": "[", "}": "{"}
    for letter in expression:
        if letter in pairs.values():
            open_ones.append(letter)
        elif letter in pairs and (not open_ones or open_ones.pop() != pairs[letter]):
            raise ValueError(f"brackets do not match: {expression}")
    if open_ones:
        raise ValueError(f"a bracket is open: {expression}")


def _check_tokens(expression: str) -> None:
    end = 0
    while end < len(expression.rstrip()):
        found = _TOKEN.match(expression, end)
        if found is None:
            raise ValueError(f"what is {expression[end : end + 20]!r}?")
        end = found.end()
        if expression[end:].startswith("(") and found[1] and found[1] not in FUNCTIONS | _KEYWORDS:
            raise ValueError(f"{found[1]} is no function that is known here")
