"""What the service counts, in the format of Prometheus."""

from collections.abc import Callable

__all__ = ["Metrics"]

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_SEGMENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


class Metrics:
    """Counters of one service."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        from prometheus_client.process_collector import ProcessCollector

        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        labels = ["route", "status"]
        self._requests = Counter("serenade_requests", "Answers by route and status", labels, registry=registry)
        self._seconds = Histogram(
            "serenade_request_seconds",
            "From the first byte to the last",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._problems = Counter("serenade_problems", "Problems by kind", ["kind"], registry=registry)
        self._audio = Counter("serenade_audio_seconds", "Sound that was heard", registry=registry)
        self._batch = Histogram(
            "serenade_batch_segments", "Segments scored together", buckets=_SEGMENTS, registry=registry
        )
        self._gauge = Gauge

    def watch(self, name: str, help_: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for when it is read."""
        self._gauge(name, help_, registry=self._registry).set_function(value)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def problem(self, kind: str) -> None:
        """Count a problem."""
        self._problems.labels(kind).inc()

    def heard(self, seconds: float) -> None:
        """Count sound."""
        self._audio.inc(seconds)

    def batch(self, segments: int) -> None:
        """Count a batch."""
        self._batch.observe(segments)

    def text(self) -> tuple[bytes, str]:
        """All of it, and its media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST
