"""Are the metrics those that the operator reads, and is every request counted exactly once?"""

import itertools

from assay.core.names import LATENCY_METRIC, METRIC_REVISION, METRIC_VIA, REQUESTS_METRIC
from router.rig import A, B, Rig, until


def counted(rig: Rig, revision: str, via: str, code_class: str) -> float:
    labels = {METRIC_REVISION: revision, METRIC_VIA: via, "envoy_response_code_class": code_class}
    return rig.samples(REQUESTS_METRIC).get(tuple(sorted(labels.items())), 0.0)


def test_requests_are_counted_by_revision_way_and_class_of_answer(rig: Rig) -> None:
    rig.model(A), rig.model(B)
    rig.start({A: 0, B: 100}, allowRevisionHeader=True)
    rig.post_many([{}] * 30 + [{"x-test-status": "500"}] * 20 + [{"x-assay-revision": A}] * 10)
    assert counted(rig, B, "split", "2") == 30
    assert counted(rig, B, "split", "5") == 20
    assert counted(rig, A, "direct", "2") == 10
    assert sum(rig.samples(REQUESTS_METRIC).values()) == 60


def test_latency_is_a_histogram_of_milliseconds_with_fine_buckets(rig: Rig) -> None:
    rig.model(A)
    rig.start({A: 100})
    rig.post_many([{"x-test-seconds": "0.2"}] * 20)
    tags = {METRIC_REVISION: A, METRIC_VIA: "split"}
    key = tuple(sorted(tags.items()))
    until(lambda: rig.samples(f"{LATENCY_METRIC}_count").get(key) == 20, "Envoy flushes its histograms")
    assert 20 * 200 <= rig.samples(f"{LATENCY_METRIC}_sum")[key] < 20 * 300
    buckets = rig.samples(f"{LATENCY_METRIC}_bucket")
    bounds = sorted(float(dict(labels)["le"]) for labels in buckets if tags.items() <= dict(labels).items())
    assert all(high / low <= 1.26 for low, high in itertools.pairwise(bounds) if 20 <= low < 60_000)


def test_the_exposition_is_small_and_has_no_other_labels(rig: Rig) -> None:
    rig.model(A), rig.model(B)
    rig.start({A: 10, B: 90}, allowRevisionHeader=True)
    rig.post_many([{}] * 50)
    text = rig.get("/metrics").text
    assert len(text.splitlines()) < 400
    assert {label for labels in rig.samples(REQUESTS_METRIC) for label, _ in labels} == {
        METRIC_REVISION,
        METRIC_VIA,
        "envoy_response_code_class",
    }


def test_a_models_own_5xx_is_never_retried(rig: Rig) -> None:
    first, second = rig.model(A), rig.model(A)
    rig.start({A: 100})
    for status in ("500", "502", "503", "504"):
        assert rig.post(x_test_status=status).status == int(status)
    assert first.seen + second.seen == 4


def test_a_connection_that_fails_is_tried_at_another_replica_and_counted_once(rig: Rig) -> None:
    gone, alive = rig.model(A), rig.model(A)
    rig.start({A: 100})
    rig.do(gone.stop())
    answers = rig.post_many([{}] * 200)
    assert [answer.text for answer in answers if answer.status != 200] == []
    assert alive.seen == 200
    assert counted(rig, A, "split", "2") == 200
    assert sum(rig.samples(REQUESTS_METRIC).values()) == 200
    retries = sum(rig.samples("envoy_cluster_upstream_rq_retry").values())
    assert 0 < retries < 100, "after a few failures the replica is left alone for some seconds"


def test_a_revision_that_cannot_be_reached_counts_as_failing(rig: Rig) -> None:
    model = rig.model(A)
    rig.start({A: 100})
    rig.do(model.stop())
    assert {answer.status for answer in rig.post_many([{}] * 5)} == {503}
    assert counted(rig, A, "split", "5") == 5


def test_the_metrics_port_shows_nothing_else_of_the_admin_interface(rig: Rig) -> None:
    rig.start({})
    assert rig.get("/ready").status == 200
    for path in (
        "/",
        "/config_dump",
        "/clusters",
        "/stats",
        "/metrics/",
        "/ready/../config_dump",
        "/runtime",
        "/certs",
    ):
        assert rig.get(path).status == 404
    for path in ("/quitquitquit", "/healthcheck/fail", "/ready", "/metrics"):
        assert rig.get(path, "POST").status == 404
    assert rig.ready()
