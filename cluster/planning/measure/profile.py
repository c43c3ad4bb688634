"""How fast a device computes slices: a short benchmark in child processes, kept on disk.

A synthetic llama of some 100 MB is loaded as a stage loads its slice (same device, threads and weight layouts), and
steps of several row counts are timed; so are draws from the vocabulary. Stages that share a device are timed
together, since they share its memory too.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.cutting.header import Header, read_header
from cluster.node.child import Child
from cluster.node.disk import temporary_folder
from cluster.node.disk_cache import read_cached, write_cached
from worker_native.probe import DeviceFacts, Probe

PROFILE_VERSION = 1
ROW_COUNTS = (1, 2, 3, 4, 8, 16, 32)
LAYERS_OF_KIND = {"Q4_0": 3, "Q4_K": 3, "Q8_0": 2, "F16": 1}  # layers of the 1b shape: about 100 MB with the head
WIDTH_OF_BENCH = "1b"
TILE_ROWS = 64
TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """Seconds per byte of weights for a step of `row_counts[i]` rows, and per logit and row that is drawn from."""

    row_counts: tuple[int, ...]
    s_per_byte: tuple[float, ...]
    sample_s_per_logit: float

    def __post_init__(self) -> None:
        if len(self.row_counts) != len(self.s_per_byte) or not self.row_counts or self.row_counts[0] != 1:
            raise ValueError("row_counts: must begin with 1 and have one s_per_byte each")
        if list(self.row_counts) != sorted(set(self.row_counts)):
            raise ValueError("row_counts: must grow")
        if not all(0 < value < 1 for value in self.s_per_byte) or not 0 <= self.sample_s_per_logit < 1:
            raise ValueError("s_per_byte: must be between 0 and 1 s")

    def speed(self, num_rows: int) -> float:
        """Bytes of weights per second in a step of `num_rows`: between measured counts by straight lines of time."""
        at = bisect_left(self.row_counts, num_rows)
        if at == len(self.row_counts):
            return 1 / (self.s_per_byte[-1] * num_rows / self.row_counts[-1])
        if self.row_counts[at] == num_rows:
            return 1 / self.s_per_byte[at]
        low, high = self.row_counts[at - 1], self.row_counts[at]
        share = (num_rows - low) / (high - low)
        return 1 / (self.s_per_byte[at - 1] * (1 - share) + self.s_per_byte[at] * share)

    def sample_s(self, num_rows: int, vocab_size: int) -> float:
        """Seconds to sample a token from each of `num_rows` rows of logits."""
        return self.sample_s_per_logit * num_rows * vocab_size

    def steps_ms(self, read_bytes: int, vocab_size: int) -> tuple[tuple[int, float], ...]:
        """(rows, milliseconds) of steps that read so many bytes of weights and sample; 0 logits where none does."""
        return tuple(
            (rows, 1e3 * (read_bytes / self.speed(rows) + self.sample_s(rows, vocab_size))) for rows in self.row_counts
        )


def bench_kind(header: Header) -> str:
    """The synthetic model's type that is nearest to the one most of the model's bytes have."""
    by_type: dict[str, int] = {}
    for info in header.tensors:
        by_type[info.type.name] = by_type.get(info.type.name, 0) + info.size_bytes
    name = max(by_type, key=lambda name: by_type[name])
    if name in ("F16", "BF16", "F32"):
        return "F16"
    if name.endswith("_K") or name.startswith(("IQ", "TQ")):
        return "Q4_K"
    return "Q8_0" if name in ("Q8_0", "Q8_1", "Q5_0", "Q5_1") else "Q4_0"


def measured_profile(
    probe: Probe, device: DeviceFacts, kind: str, num_threads: int, num_sharers: int, *, measure: bool = True
) -> DeviceProfile | None:
    """The pace of one of `num_sharers` stages on `device`: kept, or measured now (some seconds), or None."""
    key = {
        "version": PROFILE_VERSION,
        "device": [device.name, device.kind, device.description, device.memory_total_bytes],
        "build": probe.build,
        "extra_bufts": probe.use_extra_bufts,
        "num_cores": len(os.sched_getaffinity(0)),
        "num_threads": num_threads,
        "num_sharers": num_sharers,
        "kind": kind,
    }
    found = read_cached("profile", key, _parse)
    if found is None and measure:
        found = _measure(device.name, kind, num_threads, num_sharers, probe.use_extra_bufts)
        write_cached("profile", key, asdict(found))
    return found


def _parse(value: Any) -> DeviceProfile:
    return DeviceProfile(
        tuple(int(count) for count in value["row_counts"]),
        tuple(float(time) for time in value["s_per_byte"]),
        float(value["sample_s_per_logit"]),
    )


def _measure(device: str, kind: str, num_threads: int, num_sharers: int, use_extra_bufts: bool) -> DeviceProfile:
    with temporary_folder("ggml-cluster-profile-") as folder, ExitStack() as stack:
        path = folder / "pace.gguf"
        _write_model(path, kind)
        orders = {
            "path": str(path),
            "device": device,
            "num_threads": num_threads,
            "use_extra_bufts": use_extra_bufts,
            "row_counts": ROW_COUNTS,
        }
        children = [
            stack.enter_context(closing(Child("cluster.planning.measure.profile_child"))) for _ in range(num_sharers)
        ]
        for child in children:
            child.send(orders)
        for child in children:
            child.read(TIMEOUT_S)  # loaded
        for child in children:
            child.send({"go": True})
        figures = [child.read(TIMEOUT_S) for child in children]
        return _profile(figures, _read_bytes(read_header(path)))


def _write_model(path: Path, kind: str) -> None:
    from cluster.synthetic.blocks import random_matrix
    from cluster.synthetic.model import SHAPES, write_model

    def tiled(kind: str, num_rows: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """The same few rows again and again: as slow to read, but soon quantised."""
        rows = random_matrix(kind, min(num_rows, TILE_ROWS), width, rng)
        return np.resize(rows, (num_rows, rows.shape[1]))

    write_model(path, replace(SHAPES[WIDTH_OF_BENCH], num_layers=LAYERS_OF_KIND[kind]), kind, tiled)


def _read_bytes(header: Header) -> int:
    """Weights that a step reads: all but the embedding."""
    return sum(info.size_bytes for info in header.tensors if info.name != "token_embd.weight")


def _profile(figures: Sequence[dict[str, Any]], read_bytes: int) -> DeviceProfile:
    steps = zip(*(figure["step_s"] for figure in figures), strict=True)
    return DeviceProfile(
        ROW_COUNTS,
        tuple(mean(times) / read_bytes for times in steps),
        mean(figure["sample_s_per_logit"] for figure in figures),
    )
