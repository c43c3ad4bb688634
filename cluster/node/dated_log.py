"""What the processes of a cluster say of themselves: each line with its time, for `cluster logs`."""

from __future__ import annotations

import logging

_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(message)s"


def date_log() -> None:
    """For a process that is ours alone: Ray gives its lines no time. Where somebody has set up logging, that stays."""
    logging.basicConfig(format=_FORMAT, datefmt="%Y-%m-%d %H:%M:%S")
