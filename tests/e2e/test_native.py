"""Does a real Prometheus tell a native histogram so that it is counted as what a pod observed?"""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, start_http_server

from assay.adapters.prometheus import PrometheusMetrics
from assay.core import measures
from assay.core.decision import Missing, Query
from e2e.scraped import prometheus
from flights.shop import until

QUERY = Query("first_token_seconds")


@pytest.fixture
def scraped(tmp_path: Path) -> Iterator[tuple[Histogram, PrometheusMetrics]]:
    """A pod's histogram, and Prometheus, which makes a native one of custom bounds of it while it scrapes."""
    registry = CollectorRegistry()
    histogram = Histogram(
        "first_token_seconds", "Seconds to the first token.", registry=registry, buckets=(0.1, 0.25, 1)
    )
    server, thread = start_http_server(0, "127.0.0.1", registry)
    labels = {"namespace": "shop", "assay_deployment": "chat", "assay_revision": "aaaaaaaa", "pod": "chat-0"}
    job = {
        "job_name": "chat",
        "scrape_interval": "1s",
        "scrape_native_histograms": True,
        "convert_classic_histograms_to_nhcb": True,
        "static_configs": [{"targets": [f"127.0.0.1:{server.server_address[1]}"], "labels": labels}],
    }
    with prometheus(tmp_path, job) as metrics:
        yield histogram, metrics
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_was_observed_is_counted_at_bounds_that_hold_for_all_pods(
    scraped: tuple[Histogram, PrometheusMetrics],
) -> None:
    histogram, metrics = scraped
    for seconds in [0.05] * 7 + [0.2] * 2 + [3.0]:
        histogram.observe(seconds)

    def latest() -> dict[float, float]:
        found = metrics.series(QUERY, "shop", "chat")
        events = found if isinstance(found, Missing) else measures.native_histogram(found)
        if isinstance(events, Missing) or not found:
            return {}
        (series,) = events.series[-1]
        assert series.upto is not None
        return dict(zip((*events.bounds, math.inf), (*series.upto[-1], series.samples[-1][1]), strict=True))

    until(lambda: latest().get(math.inf) == 10, "Prometheus has scraped all ten")

    told = latest()
    assert [told[bound] for bound in (0.0625, 2.0**-3.25, 0.25, 1.0, 512.0)] == [0, 7, 9, 9, 9]
