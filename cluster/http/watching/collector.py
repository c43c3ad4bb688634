"""What Prometheus is told of the cluster: read from its status at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cluster.api.status import ClusterStatus, SlotStatus, StageStatus
from cluster.http.watching.watch import Seen

Of = Callable[[ClusterStatus], float]
OfStage = Callable[[StageStatus], float]

_PREFIX = "ggml_cluster_"
_GAUGES: tuple[tuple[str, str, Of], ...] = (
    ("ready", "1 while the cluster serves.", lambda status: status.health.is_ready),
    ("epoch", "Grows whenever the stages are wired anew.", lambda status: status.epoch),
    ("num_requests_running", "Requests that have a slot.", lambda status: status.num_slots_used),
    ("num_requests_waiting", "Requests in the queue.", lambda status: status.num_waiting),
    ("slots", "Requests that can run at once.", lambda status: status.num_slots),
    ("context_length_tokens", "What one slot holds.", lambda status: status.context_length),
    ("uptime_seconds", "Since the coordinator began.", lambda status: status.uptime_s),
)
_COUNTERS: tuple[tuple[str, str, Of], ...] = (
    ("requests", "Requests of all clients that ended.", lambda status: status.num_requests),
    ("tokens", "Tokens that were generated for all clients.", lambda status: status.num_tokens),
    ("drafted_tokens", "Tokens that were guessed ahead.", lambda status: status.num_drafted),
    ("accepted_tokens", "Guesses that were right.", lambda status: status.num_accepted),
    ("dropped_runs", "Steps of guesses behind one that was wrong.", lambda status: status.num_dropped_runs),
    ("recoveries", "Times that stages were lost and came back.", lambda status: status.num_recoveries),
    ("lost_seconds", "Time in which stages were lost.", lambda status: status.lost_s),
    ("replayed_tokens", "Tokens that were computed again after stages were lost.", lambda status: status.num_replayed),
)
_STAGE_GAUGES: tuple[tuple[str, str, OfStage], ...] = (
    ("ready", "1 while the stage computes.", lambda stage: stage.facts.health.is_ready),
    ("busy_ratio", "Share of the last ten seconds that it computed.", lambda stage: stage.busy_fraction),
    ("bubble_ratio", "Share of them that it waited.", lambda stage: 1.0 - stage.busy_fraction),
    ("step_seconds", "Median time of a step, of late.", lambda stage: stage.step_ms / 1e3),
    ("wait_seconds", "Median time of a step in the stage's queue.", lambda stage: stage.activity.wait_ms / 1e3),
    ("hop_seconds", "Median time from the stage before; stage 0: the way back.", lambda stage: stage.hop_ms / 1e3),
    ("layers", "Layers that it has.", lambda stage: stage.end - stage.first),
    ("weight_bytes", "Of its slice.", lambda stage: stage.weight_bytes),
    ("kv_bytes", "Of its caches.", lambda stage: stage.kv_bytes),
    ("compute_bytes", "Of its work space.", lambda stage: stage.compute_bytes),
    ("resident_memory_bytes", "Of its process.", lambda stage: stage.rss_bytes),
)
_STAGE_COUNTERS: tuple[tuple[str, str, OfStage], ...] = (
    ("steps", "Steps that it computed.", lambda stage: stage.num_steps),
    ("rows", "Rows that it computed.", lambda stage: stage.activity.num_rows),
    ("busy_seconds", "Time in which it computed.", lambda stage: stage.activity.busy_s),
)
_SENT = ("sent_bytes", "Activations that it passed on.")  # of stages before the last one
_LABELS = ("stage", "node", "device")


class ClusterCollector(Collector):
    """Of a cluster that does not answer only `up` is told: the last known figures would look like those of now."""

    def __init__(self) -> None:
        self.seen = Seen(None)  # set before each scrape

    def collect(self) -> Iterable[Metric]:
        status = self.seen.status
        yield GaugeMetricFamily(f"{_PREFIX}up", "1 while the coordinator answers.", float(status is not None))
        if status is not None:
            yield _info(status)
            for name, text, of in _GAUGES:
                yield GaugeMetricFamily(_PREFIX + name, text, float(of(status)))
            for name, text, of in _COUNTERS:
                yield CounterMetricFamily(_PREFIX + name, text, float(of(status)))
            yield _kv_usage(status, self.seen.slots)
            yield from _of_stages(status)


def _info(status: ClusterStatus) -> Metric:
    family = GaugeMetricFamily(f"{_PREFIX}model_info", "What is served.", labels=("model", "architecture"))
    family.add_metric((status.model, status.architecture), 1.0)
    return family


def _kv_usage(status: ClusterStatus, slots: Iterable[SlotStatus]) -> Metric:
    held = sum(slot.num_computed for slot in slots)
    room = status.num_slots * status.context_length
    return GaugeMetricFamily(
        f"{_PREFIX}kv_cache_usage_ratio", "Share of all slots' positions that running requests hold.", held / room
    )


def _of_stages(status: ClusterStatus) -> Iterator[Metric]:
    for name, text, of in _STAGE_GAUGES:
        yield _filled(GaugeMetricFamily(f"{_PREFIX}stage_{name}", text, labels=_LABELS), status.stages, of)
    for name, text, of in _STAGE_COUNTERS:
        yield _filled(CounterMetricFamily(f"{_PREFIX}stage_{name}", text, labels=_LABELS), status.stages, of)
    name, text = _SENT
    sent = CounterMetricFamily(f"{_PREFIX}stage_{name}", text, labels=_LABELS)
    yield _filled(sent, status.stages[:-1], lambda stage: stage.activity.num_rows * status.row_bytes)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, stages: Iterable[StageStatus], of: OfStage
) -> GaugeMetricFamily | CounterMetricFamily:
    for stage in stages:
        family.add_metric((str(stage.stage), stage.node, stage.device), float(of(stage)))
    return family
