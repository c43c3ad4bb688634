"""mtmd's answer for prompts with pictures, by a process of its own: libllama may be in one only once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MARK = "<__media__>"  # where a picture is, for mtmd


@dataclass(frozen=True, slots=True)
class Whole:
    """What the whole model says: the logits in front of each token, of which the most likely follows."""

    logits: NDArray[np.float32]  # [tokens, V]
    rows: NDArray[np.float32]  # [n, E], of all pictures

    @property
    def tokens(self) -> list[int]:
        found: list[int] = self.logits.argmax(axis=1).tolist()
        return found


def ask_mtmd(
    model: Path, projector: Path, pictures: Sequence[bytes], text: str, num_tokens: int, folder: Path
) -> Whole:
    paths = [folder / f"picture-{number}" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(picture)
    out = folder / "whole.npz"
    asked = {
        "model": str(model),
        "projector": str(projector),
        "pictures": [str(path) for path in paths],
        "text": text,
        "num_tokens": num_tokens,
        "out": str(out),
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.native.pictures.mtmd_child"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with np.load(out) as found:
        return Whole(found["logits"], found["rows"])
