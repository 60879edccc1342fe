"""`rule: Spending` rolls back and promotes at a number of bad requests that is told beforehand."""

from typing import Any

import pytest

from assay.api.modeldeployment import ModelDeployment, ModelDeploymentSpec, Outcome
from assay.core.replay import Decision, replay
from core.simulation import Cluster, a_spec
from core.test_replay import recorded

SPENDING: dict[str, Any] = {
    "analysis__rule": "Spending",
    "analysis__dispersion": "1",
    "analysis__warmupSeconds": 0,
    "strategy__canary__steps": [{"weight": 20, "minSeconds": 0}],
}


def spec_of(**changes: Any) -> ModelDeploymentSpec:
    spec = {**SPENDING, "analysis__falseRollback": "0.05", **changes}
    return ModelDeployment.model_validate({"metadata": {"name": "flights"}, "spec": a_spec(**spec)}).spec


def test_the_golden_trace_crosses_its_third_bound() -> None:
    check = [{"name": "errors", "preset": "error-ratio", "tolerance": {"relative": "0"}}]
    recording = recorded(lambda k: [6, 5, 8][k - 1], lambda k: [27, 25, 29][k - 1], looks=3)

    looks = list(replay(spec_of(analysis__checks=check), recording))

    told = [one.checks[0].harm_evidence for one in looks[1:]]
    assert told == [
        "6 errors, decides at 8 or more",
        "11 errors, decides at 13 or more",
        "19 errors, decides at 18 or more",
    ]
    assert [one.decision for one in looks] == [Decision.UNDECIDED] * 3 + [Decision.ROLLBACK]
    assert "harm evidence 19 errors, decides at 18 or more" in looks[-1].reason
    assert all(0 < one.evidence[0][0] < 1 for one in looks[:-1])
    assert looks[-1].evidence[0][0] == 1.0


def test_an_equal_candidate_passes_at_a_number_that_is_told() -> None:
    looks = list(replay(spec_of(), recorded(lambda _: 3, lambda _: 27)))

    assert looks[-1].decision is Decision.PROMOTE
    assert "or fewer" in looks[-1].checks[0].safety_evidence
    assert looks[2].checks[0].safety_evidence.startswith("6 errors, decides at")


@pytest.mark.parametrize(("version", "outcome"), [("2", Outcome.PROMOTED), ("5", Outcome.ROLLED_BACK)])
def test_whole_rollouts_end_as_they_should_and_the_status_can_be_read_back_at_each_look(
    version: str, outcome: Outcome
) -> None:
    cluster = Cluster(a_spec("1"), errors={"5": 0.05}).settle()
    cluster.apply(a_spec(version, **SPENDING))

    cluster.settle(3000)

    assert [one.outcome for one in cluster.state().history] == [outcome]


def test_to_change_the_rule_begins_the_evidence_anew() -> None:
    cluster = Cluster(a_spec("1")).settle()
    cluster.apply(a_spec("2", **SPENDING))
    cluster.run(600, until=lambda it: bool(it.state().checks and it.state().checks[0].harm.walk))
    first = cluster.state().checks[0]

    cluster.apply(a_spec("2", **{**SPENDING, "analysis__rule": "Boosted"}))
    cluster.run(30, until=lambda it: bool(it.state().checks[0].harm.logs))

    second = cluster.state().checks[0]
    assert first.definition != second.definition
    assert second.harm.walk is None
    assert second.totals[0] < first.totals[0] + 1000


def test_a_spoilt_walk_begins_anew_and_decides_nothing() -> None:
    cluster = Cluster(a_spec("1")).settle()
    cluster.apply(a_spec("2", **SPENDING))
    cluster.run(600, until=lambda it: bool(it.state().checks and it.state().checks[0].harm.walk))
    cluster.status["checks"][0]["harm"]["walk"] |= {"count": 10**9, "bad": 5, "place": -4}

    cluster.round()
    cluster.settle(3000)

    assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]
