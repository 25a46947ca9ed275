"""What Prometheus may know: requests, times, batches, the model."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.process_collector import ProcessCollector

_TIMES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """The counters of one server; two in one process do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "embedkit_requests", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "embedkit_request_seconds", "Time to answer", ["route"], buckets=_TIMES, registry=self.registry
        )
        self.active = Gauge("embedkit_requests_active", "Requests being worked on", registry=self.registry)
        self.waiting = Gauge("embedkit_questions_waiting", "Questions that wait for a batch", registry=self.registry)
        self.loads = Counter("embedkit_model_loads", "Models taken up, or refused", ["outcome"], registry=self.registry)
        self.trouble = Gauge(
            "embedkit_model_trouble", "1 while the newest model file is not taken up", registry=self.registry
        )
        self.dropped = Counter(
            "embedkit_connections_dropped", "Connections hung up on, by why", ["why"], registry=self.registry
        )
        self.tokens = Gauge("embedkit_model_tokens", "Tokens of the model", registry=self.registry)
        self.model = Info("embedkit_model", "The model that is served", registry=self.registry)

    def text(self) -> bytes:
        """Return all in Prometheus' text format."""
        return generate_latest(self.registry)
