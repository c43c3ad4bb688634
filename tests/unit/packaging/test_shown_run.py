"""What takes minutes is shown: percents, phases, the seconds of silence, and the end of the log of a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from worker_native import build_llama, shown_run

COUNTING = "for done in range(1, 41): print(f'[{done}/40] compile this')"


def run(log: Path, code: str, status: int = 0) -> str:
    """What is shown of a Python program."""
    command = [sys.executable, str(build_llama.SHOWN_RUN), str(log), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (status, "")
    return done.stderr


def test_ninjas_counter_is_shown_as_percents_and_all_output_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "new folder" / "build.log"
    shown = run(log, COUNTING).splitlines()
    assert [line.strip() for line in shown] == [f"compiling: {percent} %" for percent in range(10, 101, 10)]
    assert len(log.read_text().splitlines()) == 40


def test_a_failure_keeps_its_status_and_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    shown = run(log, "print('the first'); [print('line', n) for n in range(20)]; raise SystemExit(7)", status=7)
    assert f"failed; the whole log is {log}, its end is:" in shown
    assert "line 19" in shown
    assert "the first" not in shown


def test_silence_is_broken_with_what_goes_on_and_for_how_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shown_run, "QUIET_S", 0.2)
    told = tmp_path / "told"
    # It ends as soon as we have spoken up twice, however slow the machine is.
    waiting = (
        "import pathlib, time\nprint('Downloading ray-2.50.whl (70 MB)', flush=True)\n"
        f"while not pathlib.Path({str(told)!r}).exists(): time.sleep(0.01)"
    )
    tell = shown_run._Shown._tell
    lines: list[str] = []

    def noted(self: shown_run._Shown, text: str) -> None:
        tell(self, text)
        lines.append(text)
        if len(lines) == 2:
            told.touch()

    monkeypatch.setattr(shown_run._Shown, "_tell", noted)
    assert shown_run.run_shown([sys.executable, "-c", waiting], tmp_path / "log") == 0
    assert lines[1].startswith("Downloading ray-2.50.whl (70 MB), for ")
    assert "Downloading" in capsys.readouterr().err
