"""What is counted of requests, read back as a scraper reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from cluster.api.errors import StageLostError
from cluster.api.results import FinishReason, Timings
from cluster.chat.events import Content, End, Failed, Reasoning, Started
from cluster.http.metrics import MAX_FIELDS, OTHER, Metrics
from cluster.http.watching.collector import ClusterCollector
from cluster.http.watching.watch import Seen
from tests.fakes.wire_backends import EchoCluster


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def scrape(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample, by name and values of its labels."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, tuple(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_a_request_is_measured_from_its_events() -> None:
    clock = Clock()
    metrics = Metrics(clock)
    meter = metrics.open()
    assert scrape(metrics)["ggml_cluster_http_requests_open", ()] == 1
    clock.now_s += 0.5
    meter.push(Started(0, 40, 8))
    meter.push(Reasoning(0, "so"))
    for _ in range(3):
        clock.now_s += 0.25
        meter.push(Content(0, "a"))
    meter.push(End(0, FinishReason.STOP, Timings(40, 4, 8, queue_ms=2000, prefill_ms=300, decode_ms=750)))
    meter.close()
    meter.close()
    found = scrape(metrics)
    assert found["ggml_cluster_http_requests_open", ()] == 0
    assert found["ggml_cluster_prompt_tokens_total", ()] == 40
    assert found["ggml_cluster_prompt_tokens_cached_total", ()] == 8
    assert found["ggml_cluster_generation_tokens_total", ()] == 4
    assert found["ggml_cluster_time_to_first_token_seconds_sum", ()] == 0.5
    assert found["ggml_cluster_inter_token_latency_seconds_count", ()] == 3
    assert found["ggml_cluster_inter_token_latency_seconds_sum", ()] == 0.75
    assert found["ggml_cluster_e2e_request_latency_seconds_sum", ()] == 1.25
    assert found["ggml_cluster_request_queue_time_seconds_sum", ()] == 2.0
    assert found["ggml_cluster_request_success_total", ("stop",)] == 1


def test_each_choice_has_times_of_its_own_and_the_first_token_is_the_requests() -> None:
    clock = Clock()
    metrics = Metrics(clock)
    meter = metrics.open()
    for choice, after_s in ((0, 1.0), (1, 1.0), (0, 3.0), (1, 1.0)):
        clock.now_s += after_s
        meter.push(Content(choice, "a"))
    found = scrape(metrics)
    assert found["ggml_cluster_time_to_first_token_seconds_count", ()] == 1
    assert found["ggml_cluster_inter_token_latency_seconds_sum", ()] == 4.0 + 4.0


def test_a_failure_is_counted_by_its_class() -> None:
    metrics = Metrics()
    metrics.open().push(Failed(0, StageLostError("stage 1: gone; ask again")))
    assert scrape(metrics)["ggml_cluster_request_failure_total", ("StageLostError",)] == 1


def test_labels_that_clients_choose_are_bounded() -> None:
    metrics = Metrics()
    metrics.ignored(f"field_{number}" for number in range(MAX_FIELDS + 50))
    metrics.ignored(['"} evil 1\n', "x" * 1000, "field_0"])
    for number in range(1000):
        metrics.answered(f"/{number}", 404)
    found = scrape(metrics)
    names = {labels[0] for name, labels in found if name == "ggml_cluster_http_ignored_fields_total"}
    assert len(names) == MAX_FIELDS + 1
    assert found["ggml_cluster_http_ignored_fields_total", (OTHER,)] == 52
    assert found["ggml_cluster_http_ignored_fields_total", ("field_0",)] == 2
    assert len([name for name, _ in found if name == "ggml_cluster_http_requests_total"]) <= 65


def test_what_the_cluster_went_through_is_told() -> None:
    metrics, collector = Metrics(), ClusterCollector()
    collector.seen = Seen(EchoCluster().status())
    metrics.register(collector)
    found = scrape(metrics)
    assert found["ggml_cluster_recoveries_total", ()] == 2
    assert found["ggml_cluster_lost_seconds_total", ()] == 3.5
    assert found["ggml_cluster_replayed_tokens_total", ()] == 640
