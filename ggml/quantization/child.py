"""The process that ``quantize_file`` starts: libllama ends a process whose model file it cannot bear.

Reads one request (a line of JSON) from standard input and writes events, one JSON object a line, to standard
output. Once standard input ends, the parent is gone, and so is what was to become its file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import worker_native
from ggml.quantization.imatrix import ImportanceMatrix


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, args=(request["target"],), daemon=True).start()
    # The parent's pipe, which nothing else in this process may write to.
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def send(**event: Any) -> None:
        events.write(json.dumps(event) + "\n")

    worker_native.set_log(lambda level, line: send(level=level, line=line))
    path = request.pop("imatrix")
    importance = [] if path is None else _importance(ImportanceMatrix.load(path))
    try:
        worker_native.quantize_model(importance=importance, **_with_tuples(request))
    except (RuntimeError, ValueError, MemoryError) as error:
        send(error=str(error) or type(error).__name__)
    else:
        send(done=True)
    worker_native.set_log(None)


def _end_with_parent(target: str) -> None:
    while os.read(0, 4096):  # not through sys.stdin, which the interpreter could not let go at its end
        pass
    if target:  # a dry run has none
        Path(target).unlink(missing_ok=True)
    os._exit(1)


def _importance(matrix: ImportanceMatrix) -> list[tuple[str, Any]]:
    return [(name, matrix[name].reshape(-1)) for name in matrix]


def _with_tuples(request: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where the native function takes tuples."""
    pairs = ("tensor_types", "texts", "numbers")
    return {key: [tuple(item) for item in value] if key in pairs else value for key, value in request.items()}


if __name__ == "__main__":
    main()
