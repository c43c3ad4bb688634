"""Metrics: what the server counts of its requests, in Prometheus' form."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.registry import Collector

from cluster.chat.events import CallArguments, CallBegin, ChatEvent, Content, End, Failed, Reasoning, Started

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"  # the label of names beyond what is kept apart
MAX_FIELDS = 100  # names of ignored fields that are kept apart
MAX_ENDPOINTS = 64

# Their stems, and their bounds in seconds, are vLLM's, so that its dashboards need another prefix only.
_FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160)
_BETWEEN_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 10)
_REQUEST_S = (0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920)
_QUEUE_S = (0.001, 0.005, 0.01, 0.05, 0.1, *_REQUEST_S[1:])
_TOKENS = tuple(1 << power for power in range(18))
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a series began doubles their number, and nobody asks


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all requests since the start."""

    prompt_tokens: float
    cached_tokens: float
    generated_tokens: float
    prefill_s: float
    decode_s: float


class Metrics:
    """Counts; all methods are cheap, and for the event loop's thread only.

    Every series whose label a client can choose is bounded: what is beyond the bound is counted as `other`.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry = CollectorRegistry()
        self._now = now
        self._fields: set[str] = set()
        self._endpoints: set[str] = set()
        # Names that begin with `http_` would be any program's; those of ours begin with ours.
        self._answers = Counter(
            "ggml_cluster_http_requests", "HTTP requests that were answered.", ["endpoint", "status"], registry=registry
        )
        self._ignored = Counter(
            "ggml_cluster_http_ignored_fields", "Fields of bodies that mean nothing here.", ["field"], registry=registry
        )
        self._connections = Gauge("ggml_cluster_http_connections", "Connections that are open.", registry=registry)
        self._open = Gauge("ggml_cluster_http_requests_open", "Requests whose answer is being made.", registry=registry)
        self.prompt_tokens = _counter("prompt_tokens", "Tokens of prompts, cached ones too.", registry)
        self.cached_tokens = _counter("prompt_tokens_cached", "Tokens of prompts that were found computed.", registry)
        self.generated_tokens = _counter("generation_tokens", "Tokens of answers that came to their end.", registry)
        self.queue_s = _histogram("request_queue_time_seconds", "From arrival to a slot.", _QUEUE_S, registry)
        self.prefill_s = _histogram("request_prefill_time_seconds", "From a slot to a token.", _REQUEST_S, registry)
        self.decode_s = _histogram("request_decode_time_seconds", "From first token to last.", _REQUEST_S, registry)
        self.first_token_s = _histogram(
            "time_to_first_token_seconds", "From a request's arrival to what is shown first.", _FIRST_TOKEN_S, registry
        )
        self.between_s = _histogram("inter_token_latency_seconds", "From text to text.", _BETWEEN_S, registry)
        self.request_s = _histogram(
            "e2e_request_latency_seconds", "From arrival to the end of a choice.", _REQUEST_S, registry
        )
        self.prompt_sizes = _histogram("request_prompt_tokens", "Tokens of a request's prompt.", _TOKENS, registry)
        self.answer_sizes = _histogram("request_generation_tokens", "Tokens of an answer.", _TOKENS, registry)
        self.ends = Counter(
            "ggml_cluster_request_success", "Choices that ended, by why.", ["finished_reason"], registry=registry
        )
        self.failures = Counter(
            "ggml_cluster_request_failure", "Choices that failed, by error.", ["error"], registry=registry
        )

    def register(self, collector: Collector) -> None:
        """Its metrics are told, too."""
        self._registry.register(collector)

    def open(self) -> RequestMeter:
        """A request to the model has arrived. Its `close` must be called, whatever becomes of it."""
        self._open.inc()
        return RequestMeter(self, self._now)

    def closed(self) -> None:
        """By `RequestMeter.close`."""
        self._open.dec()

    def answered(self, endpoint: str, status: int) -> None:
        """An HTTP request got this status. `endpoint`: the route's pattern, not the path that was asked for."""
        self._answers.labels(_bounded(endpoint, self._endpoints, MAX_ENDPOINTS), str(status)).inc()

    def ignored(self, fields: Iterable[str]) -> None:
        """Fields of a body that were not looked at."""
        for field in fields:
            name = field if _FIELD.fullmatch(field) else OTHER
            self._ignored.labels(_bounded(name, self._fields, MAX_FIELDS)).inc()

    def connections(self, number: int) -> None:
        """So many are open now."""
        self._connections.set(number)

    def totals(self) -> Totals:
        """Sums, for those who spell them otherwise."""
        return Totals(
            _sum_of(self.prompt_tokens, "_total"),
            _sum_of(self.cached_tokens, "_total"),
            _sum_of(self.generated_tokens, "_total"),
            _sum_of(self.prefill_s, "_sum"),
            _sum_of(self.decode_s, "_sum"),
        )

    def text(self) -> bytes:
        """All metrics, as `CONTENT_TYPE` says."""
        return generate_latest(self._registry)


class RequestMeter:
    """Measures one request from the events of its choices."""

    def __init__(self, metrics: Metrics, now: Callable[[], float]) -> None:
        self._metrics = metrics
        self._now = now
        self._start_s = now()
        self._latest_s: dict[int, float] = {}  # by choice: when it had text
        self._is_open = True

    def push(self, event: ChatEvent) -> None:
        """An event, of any choice, in order."""
        match event:
            case Reasoning() | Content() | CallBegin() | CallArguments():
                self._text(event.choice)
            case Started():
                self._started(event)
            case End():
                self._end(event)
            case Failed():
                self._metrics.failures.labels(type(event.error).__name__).inc()

    def close(self) -> None:
        """The request is over. Once more does nothing."""
        if self._is_open:
            self._is_open = False
            self._metrics.closed()

    def _text(self, choice: int) -> None:
        now_s = self._now()
        latest_s = self._latest_s.get(choice)
        self._latest_s[choice] = now_s
        if latest_s is not None:
            self._metrics.between_s.observe(now_s - latest_s)
        elif len(self._latest_s) == 1:  # the request's first
            self._metrics.first_token_s.observe(now_s - self._start_s)

    def _started(self, event: Started) -> None:
        self._metrics.prompt_tokens.inc(event.num_prompt_tokens)
        self._metrics.cached_tokens.inc(event.num_cached_tokens)
        self._metrics.prompt_sizes.observe(event.num_prompt_tokens)

    def _end(self, event: End) -> None:
        metrics, timings = self._metrics, event.timings
        metrics.ends.labels(str(event.reason)).inc()
        metrics.generated_tokens.inc(timings.num_tokens)
        metrics.answer_sizes.observe(timings.num_tokens)
        metrics.queue_s.observe(timings.queue_ms / 1e3)
        metrics.prefill_s.observe(timings.prefill_ms / 1e3)
        metrics.decode_s.observe(timings.decode_ms / 1e3)
        metrics.request_s.observe(self._now() - self._start_s)


def _bounded(name: str, known: set[str], most: int) -> str:
    if name not in known:
        if len(known) >= most:
            return OTHER
        known.add(name)
    return name


def _sum_of(metric: Counter | Histogram, ending: str) -> float:
    return sum(sample.value for family in metric.collect() for sample in family.samples if sample.name.endswith(ending))


def _counter(stem: str, text: str, registry: CollectorRegistry) -> Counter:
    return Counter(f"ggml_cluster_{stem}", text, registry=registry)


def _histogram(stem: str, text: str, bounds: tuple[float, ...], registry: CollectorRegistry) -> Histogram:
    return Histogram(f"ggml_cluster_{stem}", text, buckets=bounds, registry=registry)
