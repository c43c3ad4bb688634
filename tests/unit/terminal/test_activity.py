"""Long work is shown: what, which part, how many of how many, the time left; on a terminal as one moving line."""

from __future__ import annotations

import io
import threading

import pytest

from cluster.terminal import activity
from cluster.terminal.activity import Activity, duration
from cluster.terminal.progress import Bar, ProgressLines


class Screen(io.StringIO):
    """A stream that tells when something was shown on it."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.shown = threading.Event()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def flush(self) -> None:
        self.shown.set()


def test_a_line_says_what_goes_on_and_what_is_left() -> None:
    work = Activity("tg128 x8 (row 2 of 3)", 4, io.StringIO())
    assert work.line(9.4) == "tg128 x8 (row 2 of 3), 0 of 4, for 9 s"
    work.begin("ours")
    assert work.line(9.4) == "tg128 x8 (row 2 of 3), ours, 1 of 4, for 9 s"
    work.begin("one process")
    assert work.line(70.0) == "tg128 x8 (row 2 of 3), one process, 2 of 4, about 3 min 30 s left"
    work.begin()
    assert work.line(1.0) == "tg128 x8 (row 2 of 3), 3 of 4, for 1 s", "too soon to tell"


def test_work_of_unknown_length_says_for_how_long() -> None:
    assert Activity("computing", stream=io.StringIO()).line(61) == "computing, for 1 min 1 s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_single_long_call_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "QUIET_S", 0.01)
    screen = Screen(is_terminal=False)
    with Activity("computing", stream=screen):
        assert screen.shown.wait(30)
    lines = screen.getvalue().splitlines()
    assert lines
    assert set(lines) == {"  computing, for 0 s"}


def test_a_terminal_gets_one_moving_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "SHOWN_EVERY_S", 0.01)
    screen = Screen(is_terminal=True)
    with Activity("computing", stream=screen):
        assert screen.shown.wait(30)
    assert "\n" not in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_what_is_short_shows_nothing() -> None:
    screen = Screen(is_terminal=True)
    with Activity("computing", stream=screen):
        pass
    assert screen.getvalue() == ""


def test_a_stage_that_loads_for_long_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(is_terminal=False)
    lines = ProgressLines(screen)
    lines.bars([Bar("stage 0", "cutting", 0.0)])
    lines.bars([Bar("stage 0", "cutting", 0.1)])
    assert screen.getvalue() == "  stage 0: cutting (0%)\n"
    monkeypatch.setattr("cluster.terminal.progress.QUIET_S", 0.0)
    lines.bars([Bar("stage 0", "cutting", 0.2)])
    assert screen.getvalue().splitlines()[1:] == ["  stage 0: cutting (20%)"]
