"""The same figures under the names that llama-server has for them, for dashboards that know those."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cluster.http.metrics import Metrics
from cluster.http.watching.collector import ClusterCollector


class LlamaNames(Collector):
    """What llama-server counts since its start, from what we count; of requests over HTTP."""

    def __init__(self, metrics: Metrics, cluster: ClusterCollector) -> None:
        self._metrics = metrics
        self._cluster = cluster

    def collect(self) -> Iterable[Metric]:
        told = self._metrics.totals()
        status = self._cluster.seen.status
        steps = status.stages[-1].num_steps if status is not None and status.stages else 0
        computed = told.prompt_tokens - told.cached_tokens
        for name, text, value in (
            ("prompt_tokens", "Number of prompt tokens processed.", computed),
            ("prompt_seconds", "Prompt process time", told.prefill_s),
            ("tokens_predicted", "Number of generation tokens processed.", told.generated_tokens),
            ("tokens_predicted_seconds", "Predict process time", told.decode_s),
            ("n_decode", "Total number of llama_decode() calls", float(steps)),
        ):
            yield CounterMetricFamily(f"llamacpp:{name}", text, value)
        for name, text, value in (
            ("prompt_tokens_seconds", "Average prompt throughput in tokens/s.", _ratio(computed, told.prefill_s)),
            (
                "predicted_tokens_seconds",
                "Average generation throughput in tokens/s.",
                _ratio(told.generated_tokens, told.decode_s),
            ),
            ("requests_processing", "Number of requests processing.", float(status.num_slots_used if status else 0)),
            ("requests_deferred", "Number of requests deferred.", float(status.num_waiting if status else 0)),
        ):
            yield GaugeMetricFamily(f"llamacpp:{name}", text, value)


def _ratio(a: float, b: float) -> float:
    return a / b if b else 0.0
