"""`rule: Spending` rolls back and promotes at a number of bad requests that is told beforehand."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from assay.api.base import Verdict
from assay.api.modeldeployment import CheckStatus, ModelDeployment, ModelDeploymentSpec, Outcome, ProcessState
from assay.core.processes import stepped
from assay.core.replay import Decision, replay
from assay.core.sound import sound
from assay.stats import spending
from assay.stats.proportion import Look
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


@pytest.mark.parametrize("rates", [(0.01, 0.01), (0.001, 0.01), (0.0, 0.3), (0.03, 0.01)], ids=str)
def test_what_honest_looks_leave_in_status_is_never_taken_for_spoilt(rates: tuple[float, float]) -> None:
    """Each state is written, read and tried as at the beginning of a round, for a candidate that is as bad, better, or worse."""
    random, now = np.random.default_rng(1), datetime(2026, 1, 1, tzinfo=UTC)
    rules = spending.harm(0.01, 1.5), spending.safety(0.05, 2.0)
    states = [ProcessState(), ProcessState()]
    for _ in range(40):
        look = Look(
            *(
                int(one)
                for size, rate in zip((3000, 27000), rates, strict=True)
                for one in (size, random.binomial(size, rate))
            )
        )
        states = [stepped(rule, state, look) for rule, state in zip(rules, states, strict=True)]
        harm, safety = states
        check = CheckStatus(name="errors", verdict=Verdict.UNDECIDED, harm=harm, safety=safety, odds=[1.5, 2.0])
        status = {"checks": [check.to_manifest()]}
        resource = ModelDeployment.model_validate(
            {"metadata": {"name": "flights"}, "spec": a_spec(**SPENDING), "status": status}
        )
        assert sound(resource, now).status.checks == resource.status.checks


WALK = {"count": 3, "bad": 30, "bound": 9, "information": 2.0, "spent": 0.001, "width": 1, "place": 1, "lowest": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"law": [0.0]},
        {"law": [1e-9]},
        {"law": [0.5, 0.499], "spent": 0.9},
        {"law": [0.5, 0.499], "width": 2**52},
        {"law": [0.5, 0.499], "place": 2**52, "lowest": -(2**52)},
        {"law": [0.5, 0.499], "place": 7},
        {"law": [0.5, 0.499], "place": -1},
        {"law": [0.5, 0.499], "count": 31},
    ],
    ids=str,
)
def test_a_walk_that_no_look_can_have_left_is_taken_for_lost(wrong: dict[str, Any]) -> None:
    def kept(walk: dict[str, Any]) -> int:
        check = {"name": "errors", "verdict": "Undecided", "odds": [1.1, 1.5], "harm": {"score": 1.0, "walk": walk}}
        raw = {"metadata": {"name": "flights"}, "spec": a_spec(**SPENDING), "status": {"checks": [check]}}
        return len(sound(ModelDeployment.model_validate(raw), datetime(2026, 1, 1, tzinfo=UTC)).status.checks)

    assert kept({**WALK, "law": [0.5, 0.499]}) == 1
    assert kept({**WALK, **wrong}) == 0
