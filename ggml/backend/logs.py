"""ggml's log lines in Python's ``logging``."""

from __future__ import annotations

import logging

from worker_native import set_log

_LOGGER = logging.getLogger("ggml")

# ggml's numbers. Continued lines arrive whole, at the level of their first piece.
_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}


def set_logging(is_on: bool = True) -> None:
    """Send ggml's (and libllama's) log lines to ``logging.getLogger("ggml")``, or drop them.

    They are dropped at first, and from the moment the interpreter ends.
    """
    set_log(_emit if is_on else None)


def _emit(level: int, line: str) -> None:
    _LOGGER.log(_LEVELS.get(level, logging.INFO), "%s", line)
