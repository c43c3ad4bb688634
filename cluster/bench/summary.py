"""Findings: what a bench has found so far, and of what. Filled as it goes, so that whatever ends it loses nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.api.status import ClusterStatus
from cluster.bench.scenarios.chunking import ChunkingFigures
from cluster.bench.scenarios.gaps import GapsFigures
from cluster.bench.scenarios.http import HttpFigures
from cluster.bench.scenarios.prefix import PrefixFigures
from cluster.bench.scenarios.soak import SoakFigures
from cluster.bench.serving import ServeFigures
from cluster.bench.settings import BenchSettings
from cluster.bench.steps import StepFigures
from cluster.bench.workload import Workload
from cluster.node.machine import Machine


@dataclass(frozen=True, slots=True)
class PeerResult:
    """A peer's runs of one workload; the n-th was made right after our n-th, with the same prompts."""

    name: str
    tokens_per_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """A row of the table."""

    workload: Workload
    tokens_per_s: tuple[float, ...]
    figures: StepFigures
    peers: tuple[PeerResult, ...]
    forecast_tokens_per_s: float | None = None  # as `cluster plan` says it; None of prompts, or where it cannot


@dataclass(slots=True)
class BenchReport:
    """Everything that was found, and of what."""

    settings: BenchSettings
    command: str
    date: str
    machine: Machine
    model_bytes: int
    status: ClusterStatus | None = None  # before the first row; None: only chunking was asked
    num_threads: int = 0  # per stage
    results: list[Result] = field(default_factory=list)
    serve: ServeFigures | None = None
    gaps: GapsFigures | None = None
    prefix: PrefixFigures | None = None
    chunking: ChunkingFigures | None = None
    soak: SoakFigures | None = None
    http: HttpFigures | None = None
    missing: list[str] = field(default_factory=list)  # peers that could not be had, and why
    failed: list[str] = field(default_factory=list)  # rows and scenarios without figures, and why
    interrupted: bool = False

    @property
    def is_empty(self) -> bool:
        """Nothing was found."""
        parts = (self.serve, self.gaps, self.prefix, self.chunking, self.soak, self.http)
        return not self.results and all(part is None for part in parts)
