"""What one side computed: the rows of all steps, one below the other, as files between processes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cluster.messages.step import Float32Array


@dataclass(frozen=True, slots=True)
class Rows:
    """`hidden[layer]` [T, E]: the rows in front of that layer; `logits` [T, V], where they were computed."""

    hidden: Mapping[int, Float32Array]
    logits: Float32Array | None


def write_rows(path: Path, hidden: Mapping[int, Float32Array], logits: Float32Array | None) -> None:
    arrays = {f"hidden-{layer}": rows for layer, rows in hidden.items()}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **(arrays if logits is None else {**arrays, "logits": logits}))


def read_rows(path: Path) -> Rows:
    with np.load(path, allow_pickle=False) as found:
        hidden = {int(name.partition("-")[2]): found[name] for name in found.files if name.startswith("hidden-")}
        return Rows(hidden, found["logits"] if "logits" in found.files else None)


def checksum(rows: Float32Array) -> str:
    """SHA-256 (hex) of the rows' shape and bits."""
    digest = hashlib.sha256(repr(rows.shape).encode())
    digest.update(np.ascontiguousarray(rows, np.float32).tobytes())
    return digest.hexdigest()


def greedy(logits: Float32Array) -> tuple[int, ...]:
    """The most probable token after each row."""
    return tuple(np.argmax(logits, axis=1).tolist())


def max_delta(left: Float32Array, right: Float32Array) -> float:
    """The largest absolute difference; infinite where one is not a number, or the shapes differ."""
    if left.shape != right.shape or not (np.isfinite(left).all() and np.isfinite(right).all()):
        return float("inf")
    return float(np.max(np.abs(left.astype(np.float64) - right), initial=0.0))
