"""What the daemon does, in numbers for Prometheus: never what is said, nor who says it in which conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edged.errors import MissingExtra
from edged.events import Measured
from edged.records import DaemonState, EngineStatus

try:
    from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.exposition import CONTENT_TYPE_LATEST
    from prometheus_client.registry import Collector
except ModuleNotFoundError as exc:
    raise MissingExtra("metrics need an extra: `make setup` or pip install 'edged[web]'") from exc

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Meter:
    """Counts from the daemon's start on."""

    def __init__(
        self, engine: Callable[[], EngineStatus], refused: Callable[[], int], state: Callable[[], DaemonState]
    ) -> None:
        """Asked whenever somebody looks. refused: connections that the egress guard did not let out."""
        self._registry = CollectorRegistry()
        self._calls = Counter(
            "edged_calls",
            "Calls that ended, by method and canonical code.",
            ["method", "code"],
            registry=self._registry,
        )
        self._call_seconds = Histogram(
            "edged_call_seconds", "How long calls took.", ["method"], buckets=_SECONDS, registry=self._registry
        )
        self._tokens = Counter(
            "edged_tokens",
            "Tokens of answers: prompt (cached among them), completion (reasoning among them).",
            ["kind"],
            registry=self._registry,
        )
        self._first_token = Histogram(
            "edged_time_to_first_token_seconds",
            "From a request's arrival to its first token.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._queue = Histogram(
            "edged_queue_seconds", "Spent waiting behind others.", buckets=_SECONDS, registry=self._registry
        )
        self._per_token = Histogram(
            "edged_time_per_token_seconds",
            "Mean time of the tokens after an answer's first.",
            buckets=_TOKEN_SECONDS,
            registry=self._registry,
        )
        self._registry.register(_Now(engine, refused, state))
        ProcessCollector(registry=self._registry)

    def call(self, method: str, code: str, seconds: float) -> None:
        """One has ended. method: of those that are declared, never what a client wrote."""
        self._calls.labels(method, code).inc()
        self._call_seconds.labels(method).observe(seconds)

    def answer(self, measured: Measured) -> None:
        """One has ended."""
        usage, metrics = measured.usage, measured.metrics
        for kind in ("prompt", "cached", "completion", "reasoning"):
            self._tokens.labels(kind).inc(getattr(usage, f"{kind}_tokens"))
        self._first_token.observe(metrics.ttft_ms / 1000)
        self._queue.observe(metrics.queue_ms / 1000)
        if metrics.generation_tps:
            self._per_token.observe(1 / metrics.generation_tps)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self._registry)


class _Now(Collector):
    """What is so at the moment."""

    def __init__(
        self, engine: Callable[[], EngineStatus], refused: Callable[[], int], state: Callable[[], DaemonState]
    ) -> None:
        self._engine = engine
        self._refused = refused
        self._state = state

    def collect(self) -> Iterator[Metric]:
        engine = self._engine()
        yield _gauge("edged_serving", "1 while questions are answered.", self._state() is DaemonState.SERVING)
        yield _gauge("edged_active_requests", "Requests that are being answered.", engine.active_requests)
        yield _gauge("edged_queued_requests", "Requests that wait.", engine.queued_requests)
        yield _gauge("edged_queue_limit", "Requests that may wait.", engine.max_queued_requests)
        yield _gauge("edged_kv_cache_bytes", "Keys and values held in memory.", engine.kv_cache_bytes)
        yield _gauge("edged_kv_cache_limit_bytes", "Keys and values that may be held.", engine.kv_cache_limit_bytes)
        yield _gauge("edged_kv_cache_sequences", "Beginnings of prompts held.", engine.cached_conversations)
        refused = "Connections that the egress guard refused."
        yield CounterMetricFamily("edged_refused_connections", refused, value=self._refused())


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
