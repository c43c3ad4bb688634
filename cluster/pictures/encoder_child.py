"""The process that decodes and encodes pictures, and may die of any of them.

python -m cluster.pictures.encoder_child PROJECTOR VOCABULARY ROW_WIDTH NUM_THREADS MEMORY

MEMORY is the number of an open file. Each line of JSON on stdin says how many bytes of a picture lie in it; the answer
says what stands for the picture: lists of token ids, and objects that describe rows, which then lie in MEMORY as
float32, one part after the other.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import Any

import numpy as np

from cluster.api.errors import ClusterError
from cluster.node.child import answer, die_with_parent
from cluster.pictures.mtmd import Mtmd
from cluster.pictures.parts import PartRows


def main(projector: str, vocabulary: str, row_width: str, num_threads: str, memory: str) -> int:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started us
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        encoder = Mtmd(projector, vocabulary, int(row_width), int(num_threads))
    except ClusterError as error:
        answer({"error": str(error)})
        return 1
    answer({"ready": True})
    for line in sys.stdin:
        answer(_encoded(encoder, json.loads(line)["num_bytes"], int(memory)))
    return 0


def _encoded(encoder: Mtmd, num_bytes: int, memory: int) -> dict[str, Any]:
    try:
        parts = encoder.parts_of(os.pread(memory, num_bytes, 0))
    except (ClusterError, MemoryError) as error:
        return {"refused": str(error) or "there is no memory for it"}
    shown: list[Any] = []
    at = 0
    for part in parts:
        if not isinstance(part, PartRows):
            shown.append(part)
        elif not np.isfinite(part.rows).all():
            return {"refused": "its rows have values that are no numbers; the mmproj file may be damaged"}
        else:
            at += os.pwrite(memory, part.rows.tobytes(), at)
            shown.append({"num_rows": part.num_tokens, "grid": part.grid, "non_causal": part.non_causal})
    return {"parts": shown}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
