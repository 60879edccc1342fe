"""The real client against a scripted Prometheus."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.script import Script
from assay.adapters.prometheus import PrometheusMetrics, promql
from assay.core.decision import Missing, Query, Series
from assay.core.errors import InvalidSpec

QUERY = Query("envoy_cluster_upstream_rq_xx", (("envoy_response_code_class", "5"),))


def a_series(
    namespace: str = "shop",
    deployment: str = "flights",
    values: tuple[tuple[float, str], ...] = ((1.0, "3"), (2.0, "4")),
    **labels: str,
) -> dict[str, Any]:
    metric = {"__name__": QUERY.metric, "namespace": namespace, "assay_deployment": deployment, **labels}
    return {"metric": metric, "values": [list(value) for value in values]}


def answer(*series: dict[str, Any]) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "matrix", "result": list(series)}}


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def outcomes() -> list[str]:
    return []


@pytest.fixture
def metrics(server: Script, now: list[float], outcomes: list[str]) -> Iterator[PrometheusMetrics]:
    metrics = PrometheusMetrics(server.url, interval=5, window=30, clock=lambda: now[0], on_query=outcomes.append)
    yield metrics
    metrics.close()


def measured(metrics: PrometheusMetrics, namespace: str = "shop", deployment: str = "flights") -> tuple[Series, ...]:
    found = metrics.series(QUERY, namespace, deployment)
    assert not isinstance(found, Missing)
    return found


def asked(server: Script) -> list[str]:
    return [request[2]["query"][0] for request in server.requests]


def test_one_query_reads_raw_samples_of_the_whole_fleet(
    metrics: PrometheusMetrics, server: Script, outcomes: list[str]
) -> None:
    server.says(200, answer(a_series(pod="a"), a_series(pod="b"), a_series(deployment="fares", pod="c")))

    found = measured(metrics)

    assert [one.labels["pod"] for one in found] == ["a", "b"]
    assert found[0].samples == ((1.0, 3.0), (2.0, 4.0))
    assert asked(server) == [
        'envoy_cluster_upstream_rq_xx{assay_deployment!="",envoy_response_code_class="5"}[30s]',
    ]
    assert outcomes == ["ok"]


def test_the_number_of_queries_does_not_grow_with_the_rollouts(metrics: PrometheusMetrics, server: Script) -> None:
    server.says(200, answer(*(a_series(deployment=f"m{n}") for n in range(50))))

    for n in range(50):
        assert len(measured(metrics, deployment=f"m{n}")) == 1

    assert len(server.requests) == 1


def test_once_known_only_those_are_asked_for_that_want_the_answer(
    metrics: PrometheusMetrics, server: Script, now: list[float]
) -> None:
    server.says(200, answer(a_series(), a_series(deployment="fares")))
    everybody, wanted = '{assay_deployment!="",', '{assay_deployment=~"fares|flights",'

    for deployment in ("flights", "fares"):
        metrics.series(QUERY, "shop", deployment)
    now[0] = 5.0
    for deployment in ("fares", "flights"):
        metrics.series(QUERY, "shop", deployment)
    assert [everybody in query for query in asked(server)] == [True, False]
    assert wanted in asked(server)[1]

    now[0] = 304.0
    metrics.series(QUERY, "shop", "flights")
    now[0] = 310.0
    metrics.series(QUERY, "shop", "flights")
    assert '{assay_deployment=~"flights",' in asked(server)[-1], "nobody wants the other any more"


def test_newcomers_cost_one_query_an_interval_however_many_they_are(
    metrics: PrometheusMetrics, server: Script, now: list[float]
) -> None:
    server.says(200, answer(*(a_series(deployment=f"m{n}") for n in range(50))))
    for at in (0.0, 5.0):
        now[0] = at
        metrics.series(QUERY, "shop", "m0")
    for n in range(50):
        assert len(measured(metrics, deployment=f"m{n}")) == 1, "what is not held is asked for, never taken for empty"

    assert len(server.requests) == 3
    now[0] = 10.0
    for n in range(50):
        assert len(measured(metrics, deployment=f"m{n}")) == 1
    assert len(server.requests) == 4


def test_more_readers_than_a_query_can_name_have_the_whole_fleet_asked_for(
    metrics: PrometheusMetrics, server: Script, now: list[float]
) -> None:
    server.says(200, answer(a_series()))
    for at in (0.0, 5.0):
        now[0] = at
        for n in range(101):
            metrics.series(QUERY, "shop", f"m{n}")

    assert [query.partition(",")[0] for query in asked(server)] == [f'{QUERY.metric}{{assay_deployment!=""'] * 2


def test_an_answer_is_asked_for_again_after_the_interval(
    metrics: PrometheusMetrics, server: Script, now: list[float]
) -> None:
    server.says(200, answer(a_series()))
    metrics.series(QUERY, "shop", "flights")
    now[0] = 4.9
    metrics.series(QUERY, "shop", "flights")
    now[0] = 5.0
    metrics.series(QUERY, "shop", "flights")

    assert len(server.requests) == 2


def test_threads_that_want_the_same_answer_wait_for_one_query(metrics: PrometheusMetrics, server: Script) -> None:
    server.says(200, answer(a_series()))
    together = threading.Barrier(8)

    def ask(_: int) -> int:
        together.wait()
        return len(measured(metrics))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [1] * 8
    assert len(server.requests) == 1


def test_same_names_in_other_namespaces_are_other_deployments(metrics: PrometheusMetrics, server: Script) -> None:
    server.says(200, answer(a_series(namespace="other", pod="theirs")))

    assert metrics.series(QUERY, "shop", "flights") == ()
    assert measured(metrics, "other")[0].labels["pod"] == "theirs"


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
@pytest.mark.reliability(trouble="counter is no number", stage="any", outcome="NoData, named")
def test_a_sample_that_is_no_number_makes_its_deployment_unknown_and_no_other(
    metrics: PrometheusMetrics, server: Script, value: str
) -> None:
    spoilt = a_series(values=((1.0, "4"), (2.0, value)), pod="b")
    server.says(200, answer(a_series(pod="a"), spoilt, a_series(deployment="fares", pod="c")))

    found = metrics.series(QUERY, "shop", "flights")

    assert found == Missing("envoy_cluster_upstream_rq_xx of pod b is no number")
    assert measured(metrics, deployment="fares")


def test_history_is_asked_for_one_deployment_at_half_minutes_and_never_shared(
    metrics: PrometheusMetrics, server: Script
) -> None:
    server.says(200, answer(a_series(pod="a")))
    query = Query("m", (("verdict", "bad"),), history=True)

    for deployment in ("flights", "flights", "fares"):
        metrics.series(query, "shop", deployment)

    assert asked(server) == [
        f'm{{assay_deployment!="",verdict="bad",namespace="shop",assay_deployment="{deployment}"}}[1h:30s]'
        for deployment in ("flights", "flights", "fares")
    ]


def test_series_that_belong_to_nobody_are_left_out(metrics: PrometheusMetrics, server: Script) -> None:
    stray = a_series()
    del stray["metric"]["namespace"]
    server.says(200, answer(stray))

    assert metrics.series(QUERY, "shop", "flights") == ()


def test_an_empty_answer_is_empty_and_not_missing(metrics: PrometheusMetrics, server: Script) -> None:
    server.says(200, answer())

    assert metrics.series(QUERY, "shop", "flights") == ()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ((400, {"status": "error", "error": "parse error"}), "refused"),
        ((503, b""), "refused"),
        ((200, b"<html>"), "did not answer"),
        ((200, {"status": "success"}), "no range vector"),
        ((200, {"data": {"result": [{"metric": {}}]}}), "no range vector"),
        ((200, {"data": {"result": [{"metric": {}, "values": [[1, "x"]]}]}}), "no range vector"),
        ((200, {"data": {"result": 7}}), "no range vector"),
        ((200, ["what"]), "no range vector"),
    ],
)
@pytest.mark.reliability(trouble="Prometheus answers wrongly", stage="any", outcome="NoData, named")
def test_whatever_goes_wrong_is_missing_with_a_reason(
    metrics: PrometheusMetrics, server: Script, outcomes: list[str], reply: tuple[int, object], said: str
) -> None:
    server.says(*reply)

    found = metrics.series(QUERY, "shop", "flights")

    assert isinstance(found, Missing)
    assert said in found.reason
    assert outcomes == ["error"]


def test_an_outage_costs_one_query_an_interval_and_not_one_a_rollout(
    metrics: PrometheusMetrics, server: Script
) -> None:
    server.says(503, b"")
    for n in range(20):
        assert isinstance(metrics.series(QUERY, "shop", f"m{n}"), Missing)

    assert len(server.requests) == 1


def test_a_server_that_does_not_listen_is_missing() -> None:
    metrics = PrometheusMetrics("http://127.0.0.1:1")

    assert isinstance(metrics.series(QUERY, "shop", "flights"), Missing)
    metrics.close()


def test_answers_that_nobody_asks_for_any_more_are_forgotten(
    metrics: PrometheusMetrics, server: Script, now: list[float]
) -> None:
    server.says(200, answer())
    for n in range(20):
        metrics.series(Query(f"metric_{n}"), "shop", "flights")
    now[0] = 61.0
    metrics.series(QUERY, "shop", "flights")

    assert list(metrics._answers) == [QUERY]


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://prometheus", "", "http://"])
def test_an_address_that_is_none_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(InvalidSpec, match="http://prometheus"):
        PrometheusMetrics(url)


@given(st.text(max_size=30))
def test_a_label_value_cannot_leave_its_quotes(value: str) -> None:
    text = promql(Query("m", (("label", value),)), 30)

    inside = text.removeprefix('m{assay_deployment!="",label="').removesuffix('"}[30s]')
    unescaped, rest = "", inside
    while rest:
        if rest[0] == "\\":
            unescaped += {"n": "\n", '"': '"', "\\": "\\"}[rest[1]]
            rest = rest[2:]
        else:
            assert rest[0] not in '"\n'
            unescaped, rest = unescaped + rest[0], rest[1:]
    assert unescaped == value


@pytest.mark.parametrize("query", [Query("up} or vector(1"), Query("m", (('x="",y', "1"),)), Query("m\n")])
def test_names_that_prometheus_does_not_allow_are_never_sent(query: Query) -> None:
    with pytest.raises(ValueError, match="name"):
        promql(query, 30)


def test_series_are_values() -> None:
    assert Series({}, ()) == Series({}, ())


def a_native(*buckets: tuple[int, str, str, str], at: float = 1.0) -> dict[str, Any]:
    """As Prometheus tells a native histogram: the buckets that hold something."""
    one = a_series(assay_revision="aaaaaaaa", pod="p")
    one["histograms"] = [[at, {"count": "9", "sum": "1", "buckets": [list(bucket) for bucket in buckets]}]]
    del one["values"]
    return one


def test_a_native_histogram_is_laid_on_bounds_nine_percent_apart(server: Script, metrics: PrometheusMetrics) -> None:
    told = a_native(
        (3, "-0.001", "0.001", "1"),  # around zero
        (0, "0.0000001", "0.0000002", "2"),  # quicker than the grid begins
        (0, "0.2102241038134286", "0.25", "4"),
        (0, "0.25", "0.3", "8"),  # a custom bound
        (0, "5000", "10000", "16"),  # slower than the grid ends
    )
    server.says(200, answer(told))

    (series,) = measured(metrics)

    assert series.upto is not None
    by_bound = dict(zip(series.bounds, series.upto[0], strict=True))
    assert len(by_bound) == 193
    assert by_bound[2.0**-14] == 2
    assert by_bound[2.0**-2.125] == 3
    assert by_bound[0.25] == 7
    assert by_bound[2.0**-1.75] == 7  # 0.297, and 0.3 lies beyond it
    assert by_bound[2.0**-1.625] == 15
    assert by_bound[1024.0] == 15
    assert series.samples == ((1.0, 31.0),)


def test_a_native_histogram_of_values_below_zero_is_no_latency(server: Script, metrics: PrometheusMetrics) -> None:
    server.says(200, answer(a_native((1, "-2", "-1", "3"))))

    found = metrics.series(QUERY, "shop", "flights")

    assert isinstance(found, Missing)
    assert "of pod p: 0 requests took no time and 3 less than none: these are not latencies" in found.reason


@pytest.mark.parametrize("count", ["NaN", "+Inf"])
def test_a_native_bucket_that_counts_no_number_is_told(server: Script, metrics: PrometheusMetrics, count: str) -> None:
    server.says(200, answer(a_native((0, "0.1", "0.2", count))))

    assert metrics.series(QUERY, "shop", "flights") == Missing(
        f"envoy_cluster_upstream_rq_xx of pod p: a bucket counts {count}, which is no number of events"
    )
