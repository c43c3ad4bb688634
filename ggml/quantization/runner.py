"""Running the child of ``quantize_file``: its request, its events, its end."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["ChildError", "run_child"]

# What the child must import: this very package.
_ROOT = Path(__file__).parents[2]

_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from ggml.quantization.child import main; main()"


class ChildError(Exception):
    """Why the child did not finish."""


def run_child(request: dict[str, Any], on_line: Callable[[str], None]) -> None:
    """Run the request and hand on the lines of libllama's log; whatever is raised meanwhile ends the child."""
    with tempfile.TemporaryFile() as noise, _started(noise) as child:
        try:
            why = _listen(child, request, on_line)
        except BaseException:
            child.kill()
            raise
        status = child.wait()
        if why is not None:
            raise ChildError(why) if why else ChildError(_end_of(status, noise))


@contextlib.contextmanager
def _started(noise: Any) -> Any:
    command = [sys.executable, "-c", _PROGRAM, str(_ROOT)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, text=True)
    try:
        yield child
    finally:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        child.wait()


def _listen(child: subprocess.Popen[str], request: dict[str, Any], on_line: Callable[[str], None]) -> str | None:
    """None if the child finished, its reason if it gave one, else an empty text."""
    assert child.stdin is not None and child.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(json.dumps(request) + "\n")
        child.stdin.flush()
    for line in child.stdout:
        event = json.loads(line)
        if "error" in event:
            return str(event["error"]) or "no reason was given"
        if "done" in event:
            return None
        on_line(event["line"])
    return ""


def _end_of(status: int, noise: Any) -> str:
    """How a child that said nothing ended."""
    noise.seek(0)
    lines = [line for line in noise.read().decode(errors="replace").splitlines() if line.strip()]
    how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    return f"libllama ended {how}" + (f": {lines[-1].strip()}" if lines else "")
