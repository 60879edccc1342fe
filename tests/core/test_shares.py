"""A candidate that gets another share of the requests than its weight is told of, and is not promoted while that is so."""

import pytest

from assay.api.base import Verdict
from assay.api.modeldeployment import Outcome, Stage
from core.simulation import Cluster, a_spec


class Leaning(Cluster):
    """Callers that keep to the candidate, or away from it."""

    lean: float = 1.0

    def _serve(self, seconds: float) -> None:
        super()._serve(seconds)
        for pod in self.routers():
            for one in self._applied.get(pod, {}).get("backends", [])[:1]:
                if one["weight"] < 100:
                    more = (self.lean - 1) * self.rate * seconds / len(self.routers()) * one["weight"] / 100
                    self._counts[pod][one["revision"], "2"] += more * 0.99
                    self._counts[pod][one["revision"], "5"] += more * 0.01


def test_with_endless_traffic_a_share_that_differs_by_less_than_a_fifth_is_not_told() -> None:
    cluster = Leaning(a_spec("1"), rate=100_000.0).settle()
    cluster.lean = 1.15
    cluster.apply(a_spec("2", strategy__canary__steps=[{"weight": 10, "minSeconds": 100}]))
    cluster.run(60)

    candidate = cluster.state().candidate
    assert candidate is not None
    assert candidate.step_requests > 100_000
    assert not any("of what was counted at this step" in one for one in candidate.warnings)


@pytest.mark.parametrize(("lean", "told"), [(1.0, False), (1.1, False), (1.5, True), (0.5, True)])
def test_a_share_that_differs_by_more_than_a_fifth_and_beyond_chance_is_told(lean: float, told: bool) -> None:  # noqa: FBT001
    cluster = Leaning(a_spec("1")).settle()
    cluster.lean = lean
    cluster.apply(a_spec("2", strategy__canary__steps=[{"weight": 10, "minSeconds": 100}]))
    cluster.run(90)

    candidate = cluster.state().candidate
    assert candidate is not None
    warnings = [one for one in candidate.warnings if "of what was counted at this step, and its weight is 10%" in one]
    assert bool(warnings) is told
    cluster.settle(3000)
    assert [one.outcome for one in cluster.state().history] == ([] if told else [Outcome.PROMOTED])


def test_promotion_waits_until_requests_are_sent_as_the_weight_says_and_says_so() -> None:
    cluster = Leaning(a_spec("1")).settle()
    cluster.lean = 1.5
    cluster.apply(a_spec("2", strategy__canary__steps=[{"weight": 10, "minSeconds": 10}]))
    cluster.run(1000)

    assert (cluster.state().stage, cluster.state().verdict) == (Stage.ANALYSING, Verdict.PASS)
    told = cluster.condition("Progressing").message
    assert "every required check passed, but the candidate answers 14.3% of what was counted" in told
    assert "spec.intent.promote" in told

    cluster.lean = 1.0
    cluster.settle(2000)
    assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]


def test_where_users_stay_with_a_revision_a_share_that_differs_is_told_and_no_more() -> None:
    cluster = Leaning(a_spec("1")).settle()
    cluster.lean = 1.5
    sticky = {"router": {}, "stickyHeader": "x-user-id"}
    cluster.apply(a_spec("2", traffic=sticky, strategy__canary__steps=[{"weight": 10, "minSeconds": 100}]))
    cluster.run(90)
    candidate = cluster.state().candidate
    assert candidate is not None
    assert any("of what was counted at this step" in one for one in candidate.warnings)

    cluster.settle(3000)

    assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]


def test_a_person_may_promote_a_candidate_that_gets_another_share() -> None:
    cluster = Leaning(a_spec("1")).settle()
    cluster.lean = 0.5
    spec = a_spec("2", strategy__canary__steps=[{"weight": 10, "minSeconds": 10}])
    cluster.apply(spec)
    cluster.run(300)
    assert cluster.state().stage is Stage.ANALYSING

    cluster.apply({**spec, "intent": {"promote": cluster.revision("2")}})
    cluster.settle(2000)

    assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]
