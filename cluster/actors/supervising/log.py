"""What a supervisor has to say: it is in its log, since nobody waits for it. Implements `Progress`."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cluster.terminal.progress import Bar

_log = logging.getLogger(__name__)


class LogProgress:
    """Notes go to the log that `cluster logs` shows; bars are for those who wait."""

    def note(self, text: str) -> None:
        _log.warning("%s", text)

    def bars(self, states: Sequence[Bar]) -> None:
        return
