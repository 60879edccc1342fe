"""Does a release end as its revenue says, from the first weight to the last?"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from assay.api.base import Verdict
from assay.api.modeldeployment import Outcome, Stage
from assay.core.decision import Missing, Query, Series
from core.simulation import Cluster, a_spec

COUNTERS = {"shop_count": 0, "shop_sum": 1, "shop_squares": 2, "shop_sales": 3, "shop_drift": 4}
REVENUE = {
    "name": "revenue",
    "mean": {
        "count": {"metric": "shop_count"},
        "sum": {"metric": "shop_sum"},
        "sumOfSquares": {"metric": "shop_squares"},
    },
    "better": "Higher",
}
CONVERSION = {"name": "conversion", "proportion": {"good": {"metric": "shop_sales"}, "total": {"metric": "shop_count"}}}
DRIFT = {"name": "drift", "gauge": {"metric": "shop_drift"}}
ERRORS = {"name": "errors", "preset": "error-ratio"}


@dataclass
class Shop(Cluster):
    """Each answer of a model earns something; one pod of each revision counts it."""

    earns: dict[str, float] = field(default_factory=dict)
    """Model version -> mean revenue of an answer; 1 unless given."""
    drifts: dict[str, float] = field(default_factory=dict)
    """Model version -> its drift score; 1 unless given."""
    sold: dict[str, list[tuple[float, list[float]]]] = field(default_factory=lambda: defaultdict(list))
    dice: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def _serve(self, seconds: float) -> None:
        super()._serve(seconds)
        backends = next(iter(self._applied.values()), {}).get("backends", [])
        for one in backends:
            revision, version = one["revision"], self.version(one["revision"])
            told = self.sold[revision]
            numbers = list(told[-1][1]) if told else [0.0] * 5
            values = self.earns.get(version, 1.0) * self.dice.exponential(
                1, round(self.rate * seconds * one["weight"] / 100)
            )
            grown = (values.size, values.sum(), (values**2).sum(), (values > 1).sum())
            numbers[:4] = [number + float(more) for number, more in zip(numbers, grown, strict=False)]
            numbers[4] = self.drifts.get(version, 1.0) + float(self.dice.normal(0, 0.05))
            told.append((self.now.timestamp(), numbers))

    def _series(self, query: Query) -> tuple[Series, ...] | Missing:
        place = COUNTERS.get(query.metric)
        if place is None or self.blind:
            return super()._series(query)
        return tuple(
            Series(
                {"pod": f"model-{revision}", "assay_revision": revision},
                tuple((at, one[place]) for at, one in told[-12:]),
            )
            for revision, told in self.sold.items()
        )


def released(checks: list[dict[str, Any]], **world: Any) -> Shop:
    """The world after revision 2 was given a trial by these checks."""
    shop = Shop(a_spec("1"), **world).settle()
    changes: dict[str, Any] = {
        "analysis__checks": checks,
        "analysis__dispersion": "1",
        "analysis__deadlineSeconds": 1200,
    }
    shop.apply(a_spec("2", **changes))
    return shop.run(
        1000, until=lambda it: it.state().stage in (Stage.ROLLED_BACK, Stage.STABLE) and bool(it.state().history)
    )


def test_a_candidate_that_earns_as_much_is_promoted_by_the_evidence_of_its_revenue() -> None:
    (ended,) = released([REVENUE]).state().history

    assert ended.outcome is Outcome.PROMOTED
    assert "Candidate mean " in ended.reason
    assert "asymptotic safety evidence 20 of 20" in ended.reason


def test_a_candidate_that_earns_less_is_rolled_back_though_it_makes_no_error() -> None:
    shop = released([ERRORS, REVENUE], earns={"2": 0.5})

    (ended,) = shop.state().history
    assert (ended.outcome, ended.worst_check) == (Outcome.ROLLED_BACK, "revenue")
    assert shop.weights() == {shop.revision("1"): 100}


def test_a_restart_of_the_pod_that_counts_changes_nothing() -> None:
    class Restarting(Shop):
        def _serve(self, seconds: float) -> None:
            super()._serve(seconds)
            for told in self.sold.values():
                if len(told) % 7 == 0:
                    told.append((told[-1][0] + 1e-3, [0.0] * 4 + [1.0]))

    shop = Restarting(a_spec("1")).settle()
    shop.apply(a_spec("2", analysis__checks=[REVENUE]))
    shop.run(1000, until=lambda it: bool(it.state().history))

    assert shop.state().history[0].outcome is Outcome.PROMOTED


def test_conversions_that_fall_roll_back_and_others_promote() -> None:
    worse, equal = released([CONVERSION], earns={"2": 0.6}), released([CONVERSION])

    assert worse.state().history[0].outcome is Outcome.ROLLED_BACK
    assert equal.state().history[0].outcome is Outcome.PROMOTED


def test_a_gauge_holds_the_weight_and_rolls_nothing_back() -> None:
    shop, equal = released([ERRORS, DRIFT], drifts={"2": 2.0}), released([ERRORS, DRIFT])

    state = shop.state()
    assert (state.stage, state.history) == (Stage.ANALYSING, [])
    assert {one.name: one.verdict for one in state.checks}["drift"] is Verdict.UNDECIDED
    assert equal.state().history[0].outcome is Outcome.PROMOTED


@pytest.mark.parametrize("check", [REVENUE, CONVERSION, DRIFT])
def test_while_prometheus_is_away_there_is_no_data(check: dict[str, Any]) -> None:
    shop = Shop(a_spec("1")).settle()
    shop.apply(a_spec("2", analysis__checks=[ERRORS, check], analysis__dispersion="1"))
    shop.run(300, until=lambda it: any(one.requests for one in it.state().checks if one.name == check["name"]))
    shop.blind = True

    shop.run(60)

    state = shop.state()
    assert state.stage in (Stage.ANALYSING, Stage.PREPARING)
    assert {one.name: one.verdict for one in state.checks}[check["name"]] is Verdict.NO_DATA
