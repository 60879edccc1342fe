"""What does the operator tell Prometheus about itself?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from assay import __version__


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the table of metrics."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str


METRICS = (
    Metric("assay_operator_info", "gauge", ("version",), "1, with the operator's version."),
    Metric("assay_operator_leader", "gauge", (), "1 while this operator works, 0 while it stands by."),
    Metric("assay_operator_queue_depth", "gauge", (), "Objects that are due and wait for a worker."),
    Metric("assay_operator_queue_lag_seconds", "gauge", (), "How long the oldest due object has been waiting."),
    Metric("assay_operator_queue_keys", "gauge", (), "Objects that the operator looks after."),
    Metric("assay_operator_reconcile_seconds", "histogram", ("kind",), "How long one round took."),
    Metric(
        "assay_operator_reconciles_total",
        "counter",
        ("kind", "outcome"),
        "Rounds by outcome: Saved, Unchanged, Gone, Conflict, Refused, NewerState, Forbidden, Unavailable, InternalError.",
    ),
    Metric("assay_operator_decisions_total", "counter", ("kind", "stage"), "Stages entered, by stage."),
    Metric("assay_operator_api_calls_total", "counter", ("verb", "resource", "code"), "Calls to the API server."),
    Metric(
        "assay_operator_prometheus_queries_total", "counter", ("outcome",), "Queries sent to Prometheus: ok or error."
    ),
    Metric("assay_operator_watch_events_total", "counter", ("resource",), "Events seen on watched resources."),
)
"""Every metric of the operator's own; the reference is generated from this table."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series a counter that nobody reads

_ROWS = {row.name: row for row in METRICS}
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Instruments:
    """The operator's metrics, in a registry of their own; all methods may be called from any thread."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._gauge("assay_operator_info").labels(__version__).set(1)
        self._leader = self._gauge("assay_operator_leader")
        self._depth = self._gauge("assay_operator_queue_depth")
        self._lag = self._gauge("assay_operator_queue_lag_seconds")
        self._keys = self._gauge("assay_operator_queue_keys")
        row = _ROWS["assay_operator_reconcile_seconds"]
        self._seconds = Histogram(row.name, row.help, row.labels, registry=self._registry, buckets=_BUCKETS)
        self._rounds = self._counter("assay_operator_reconciles_total")
        self._decisions = self._counter("assay_operator_decisions_total")
        self._calls = self._counter("assay_operator_api_calls_total")
        self._queries = self._counter("assay_operator_prometheus_queries_total")
        self._events = self._counter("assay_operator_watch_events_total")

    def watch_queue(self, depth: Callable[[], float], lag: Callable[[], float], keys: Callable[[], float]) -> None:
        """Read the queue whenever somebody scrapes."""
        self._depth.set_function(depth)
        self._lag.set_function(lag)
        self._keys.set_function(keys)

    def leads(self) -> None:
        """Tell that this operator works."""
        self._leader.set(1)

    def round(self, kind: str, outcome: str, seconds: float) -> None:
        """Count a round."""
        self._rounds.labels(kind, outcome).inc()
        self._seconds.labels(kind).observe(seconds)

    def decision(self, kind: str, stage: str) -> None:
        """Count a stage that was entered."""
        self._decisions.labels(kind, stage).inc()

    def api_call(self, verb: str, resource: str, code: str) -> None:
        """Count a call to the API server."""
        self._calls.labels(verb, resource, code).inc()

    def query(self, outcome: str) -> None:
        """Count a query to Prometheus."""
        self._queries.labels(outcome).inc()

    def event(self, resource: str) -> None:
        """Count a watch event."""
        self._events.labels(resource).inc()

    def page(self) -> bytes:
        """Return what a scrape reads, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _gauge(self, name: str) -> Gauge:
        row = _ROWS[name]
        return Gauge(row.name, row.help, row.labels, registry=self._registry)

    def _counter(self, name: str) -> Counter:
        row = _ROWS[name]
        return Counter(row.name, row.help, row.labels, registry=self._registry)
