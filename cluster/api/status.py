"""What `cluster status` shows of a cluster and of its stages."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StageFacts:
    """What a stage says about itself when asked. Set by the stage."""

    stage: int
    node: str
    device: str
    first: int  # layers [first, end)
    end: int
    state: str  # "ready" or "lost: reason"
    pid: int
    weight_bytes: int
    kv_bytes: int
    compute_bytes: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class StageStatus:
    """A row of `cluster status`. Set by the coordinator from what each stage reported."""

    stage: int
    node: str
    device: str
    first: int
    end: int
    state: str  # "ready" or "lost: reason"
    pid: int
    address: str
    weight_bytes: int
    kv_bytes: int
    compute_bytes: int
    rss_bytes: int
    busy_fraction: float  # share of the last window that the stage computed, 0..1
    step_ms: float  # median compute time of a step in that window; 0 when idle
    num_steps: int


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What `cluster status` shows. Set by the coordinator."""

    model: str
    model_hash: str
    architecture: str
    state: str  # "ready", "degraded: reason"
    address: str
    epoch: int
    context_length: int
    num_slots: int
    num_slots_used: int
    num_waiting: int
    num_requests: int  # served since the start
    num_tokens: int  # generated since the start
    uptime_s: float
    vocab_size: int
    stages: tuple[StageStatus, ...] = field(default_factory=tuple)
