"""The command line: one small module per verb. Parsing is cheap; what a verb needs is imported when it runs.

Importing this package imports nothing else, so that `cluster.entry` can get hold of Ctrl-C first.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cluster.cli.command import VERBS as VERBS
    from cluster.cli.command import build_parser as build_parser
    from cluster.cli.command import main as main
    from cluster.cli.command import verb_parsers as verb_parsers

__all__ = ["VERBS", "build_parser", "main", "verb_parsers"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cluster.cli import command

    return getattr(command, name)
