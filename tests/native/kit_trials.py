"""A part of the device kit whose processes end in all the ways that a device may end them."""

from __future__ import annotations

import os
import signal
import time

from tests.gpu.kit.case import Case
from tests.gpu.kit.finding import Tell, judged
from tests.gpu.kit.settings import Settings


def cases(settings: Settings) -> list[Case]:
    return [
        Case("well", _well, 30.0),
        Case("raises", _raises, 30.0),
        Case("dies", _dies, 30.0),
        Case("hangs", _hangs, 6.0),
        Case("well again", _well, 30.0),
    ]


def _well(settings: Settings, tell: Tell) -> None:
    tell(judged("one", True, number=1.5))


def _raises(settings: Settings, tell: Tell) -> None:
    _well(settings, tell)
    raise ValueError("a reason\nin two lines")


def _dies(settings: Settings, tell: Tell) -> None:
    _well(settings, tell)
    os.kill(os.getpid(), signal.SIGABRT)


def _hangs(settings: Settings, tell: Tell) -> None:
    _well(settings, tell)
    time.sleep(600)
