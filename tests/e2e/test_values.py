"""Does a real Prometheus tell sums of values so that a mean, a ratio and a gauge are judged by what pods counted?

Three pods' exporters are scraped by a real Prometheus four times a second, and the real adapter reads it: a stable revision, a
candidate whose users pay half, and one whose users pay as much. Sums fall at times, are below 0 for long, and every pod restarts
once.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from assay.adapters.prometheus import PrometheusMetrics
from assay.api.base import Verdict
from assay.api.modeldeployment import Analysis, CheckStatus
from assay.core import checks, measures
from assay.core.decision import Missing
from assay.core.hypotheses import Trial
from assay.core.measures import Found
from assay.core.scrapes import Arms
from e2e.scraped import prometheus
from flights.shop import until
from router.rig import free_ports

STABLE, WORSE, EQUAL = "aaaaaaaa", "bbbbbbbb", "cccccccc"
PAYS = {STABLE: 1.0, WORSE: 0.5, EQUAL: 1.0}
USERS = {STABLE: 900, WORSE: 100, EQUAL: 100}
LOOKS = 14
RESTARTS = {STABLE: 6, WORSE: 4, EQUAL: 8}
"""After which look."""
PAID_BACK = (3, 9)
"""Looks in which users were paid more than they paid."""
METRICS = ("users", "paid", "paid_squares", "visits", "visits_squares", "paid_times_visits")
REFUNDED = np.array([50.0, -2000.0, 90_000.0, 60.0, 90.0, -2400.0])
"""What each pod has counted before anybody looks."""
COUNTERS = dict(zip(METRICS, ({"metric": f"shop_{name}"} for name in METRICS), strict=True))
CHECKS: dict[str, dict[str, Any]] = {
    "revenue": {
        "mean": {"count": COUNTERS["users"], "sum": COUNTERS["paid"], "sumOfSquares": COUNTERS["paid_squares"]}
    },
    "per-visit": {
        "ratio": {
            "count": COUNTERS["users"],
            "numerator": COUNTERS["paid"],
            "denominator": COUNTERS["visits"],
            "numeratorSquares": COUNTERS["paid_squares"],
            "denominatorSquares": COUNTERS["visits_squares"],
            "products": COUNTERS["paid_times_visits"],
        }
    },
    "satisfaction": {"gauge": {"metric": "shop_satisfaction"}},
}
ANALYSIS = Analysis.model_validate(
    {"checks": [{"name": name, "better": "Higher", **one} for name, one in CHECKS.items()]}
)


@dataclass
class Pod:
    """An exporter of one revision, which lives twice."""

    revision: str
    port: int
    dice: np.random.Generator
    counted: np.ndarray[Any, np.dtype[np.float64]] = field(default_factory=REFUNDED.copy)
    """In its present life."""
    satisfaction: float = 0.0
    sold: list[np.ndarray[Any, np.dtype[np.float64]]] = field(default_factory=list)
    """Since somebody looks, by look."""

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Answer Prometheus."""
        registry = CollectorRegistry()
        for place, name in enumerate(METRICS):
            Gauge(f"shop_{name}", name, registry=registry).set_function(lambda at=place: float(self.counted[at]))  # type: ignore[misc]
        Gauge("shop_satisfaction", "-", registry=registry).set_function(lambda: self.satisfaction)
        server, thread = start_http_server(self.port, "127.0.0.1", registry)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def sells(self, share: float) -> None:
        """Let some more users come, each with some visits, at which they pay so much of what they usually do, or are paid back."""
        count, pays = USERS[self.revision], share * PAYS[self.revision]
        visits = 1.0 + self.dice.poisson(1.0, count)
        paid = pays * visits * self.dice.normal(1.0, 1.0, count)
        sums = np.array([count, paid.sum(), (paid**2).sum(), visits.sum(), (visits**2).sum(), (paid * visits).sum()])
        self.sold.append(sums)
        self.satisfaction = 4 * PAYS[self.revision] + self.dice.normal(0, 0.05)
        self.counted = self.counted + sums


Judged = Mapping[tuple[str, str], CheckStatus]
"""(candidate, check) -> its state."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Judged, Mapping[str, Pod]]:
    """Let users come, look, and restart each pod on the way."""
    dice, places = np.random.default_rng(20261121), free_ports(len(PAYS))
    pods = {name: Pod(name, port, dice) for name, port in zip(PAYS, places, strict=True)}
    labels = {"namespace": "shop", "assay_deployment": "offers"}
    targets = [
        {"targets": [f"127.0.0.1:{pod.port}"], "labels": {**labels, "assay_revision": name, "pod": f"offers-{name}"}}
        for name, pod in pods.items()
    ]
    job = {"job_name": "offers", "scrape_interval": "250ms", "scrape_timeout": "250ms", "static_configs": targets}
    lives = {name: ExitStack() for name in pods}
    judged: dict[tuple[str, str], CheckStatus] = {}
    with ExitStack() as all_lives:
        for name, pod in pods.items():
            all_lives.enter_context(lives[name]).enter_context(pod.alive())
        metrics = all_lives.enter_context(prometheus(tmp_path_factory.mktemp("prometheus"), job))
        for look in range(LOOKS + 1):
            for name, pod in pods.items():
                if look and look - 1 == RESTARTS[name]:
                    lives[name].close()
                    pod.counted = np.zeros(len(METRICS))
                    lives[name].enter_context(pod.alive())
                if look:
                    pod.sells(-0.2 if look in PAID_BACK else 1.0)
            found = until(lambda: scraped(metrics, pods), f"Prometheus has scraped all that look {look} is about", 30)
            for candidate in (WORSE, EQUAL):
                trial = Trial(Arms(STABLE, candidate), ANALYSIS, newest(found), 0.0)
                for check in ANALYSIS.checks:
                    state = judged.get((candidate, check.name)) or checks.begin(check, trial)
                    judged[candidate, check.name] = checks.look(check, state, found, trial)
    return judged, pods


def newest(found: Found) -> datetime:
    """Return when the last scrape was."""
    answers = [series for series in found.values() if not isinstance(series, Missing)]
    return datetime.fromtimestamp(max(one.samples[-1][0] for series in answers for one in series), UTC)


def scraped(metrics: PrometheusMetrics, pods: Mapping[str, Pod]) -> Found:
    """Return what the operator would be told, once it is all that the pods count; nothing before.

    Twice: pods are scraped at different moments, and counted up to one of which all have told.
    """
    wanted = {f"shop_{name}": place for place, name in enumerate(METRICS)}
    found: Found = {query: metrics.series(query, "shop", "offers") for query in measures.queries(ANALYSIS.checks)}
    for query, series in found.items():
        told = (
            {}
            if isinstance(series, Missing)
            else {one.labels["assay_revision"]: {value for _, value in one.samples[-2:]} for one in series}
        )
        for name, pod in pods.items():
            now = pod.counted[wanted[query.metric]] if query.metric in wanted else pod.satisfaction
            if told.get(name) != {now}:
                return {}
    return found


@pytest.mark.parametrize("check", ["revenue", "per-visit"])
def test_less_is_harm_and_as_much_passes(story: tuple[Judged, Mapping[str, Pod]], check: str) -> None:
    judged, _ = story

    assert {name: judged[name, check].verdict for name in (WORSE, EQUAL)} == {WORSE: Verdict.FAIL, EQUAL: Verdict.PASS}
    assert float(judged[WORSE, check].effect) == pytest.approx(0.5, abs=0.1)
    assert float(judged[EQUAL, check].effect) == pytest.approx(1, abs=0.15)


def test_a_gauge_holds_what_is_worse_and_passes_what_is_not(story: tuple[Judged, Mapping[str, Pod]]) -> None:
    worse, equal = (story[0][name, "satisfaction"] for name in (WORSE, EQUAL))

    assert (worse.verdict, equal.verdict) == (Verdict.UNDECIDED, Verdict.PASS)
    assert worse.harm_evidence == "300 of 300"


@pytest.mark.parametrize("check", ["revenue", "per-visit"])
@pytest.mark.parametrize("candidate", [WORSE, EQUAL])
def test_each_look_tells_exactly_what_was_sold_since_the_last_through_sums_below_zero_and_restarts(
    story: tuple[Judged, Mapping[str, Pod]], candidate: str, check: str
) -> None:
    judged, pods = story
    status = judged[candidate, check]

    width = 3 if check == "revenue" else len(METRICS)
    chosen = [0, 1, 2] if check == "revenue" else [0, 1, 3, 2, 4, 5]
    looks = np.array(status.value_looks)[:, 1:]
    for place, name in enumerate((candidate, STABLE)):
        sold = np.array(pods[name].sold)[:, chosen]
        np.testing.assert_allclose(looks[:, place * width : (place + 1) * width], sold, rtol=1e-9, atol=1e-6)
    assert (len(looks), status.missed_looks, status.requests) == (LOOKS, 0, LOOKS * USERS[candidate])
