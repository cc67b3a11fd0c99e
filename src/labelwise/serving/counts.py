"""Counts of a server, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Counts:
    """Requests, seconds, batches and queues of one server, in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "labelwise_requests", "Requests answered.", ("route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "labelwise_request_seconds",
            "Seconds from a request's head to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "labelwise_batch_items",
            "Items of a pass of the model.",
            ("model",),
            buckets=_ITEMS,
            registry=registry,
        )
        self._passes = Histogram(
            "labelwise_batch_seconds",
            "Seconds of a pass of the model.",
            ("model",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._queues = Gauge(
            "labelwise_queue_items", "Items that wait for a pass.", ("model",), registry=registry
        )

    def watch(self, model: str, waiting: Callable[[], int]) -> None:
        """Show how many items wait for a model."""
        self._queues.labels(model).set_function(waiting)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, model: str, items: int, seconds: float) -> None:
        """Count a pass of a model."""
        self._batches.labels(model).observe(items)
        self._passes.labels(model).observe(seconds)

    def text(self) -> bytes:
        """Return everything in the form that Prometheus reads."""
        return generate_latest(self._registry)
