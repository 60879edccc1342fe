"""Whatever a crash swallows, at whatever round, the outcome is the same and nothing is left over."""

from collections.abc import Mapping

import pytest

from assay.api.modeldeployment import Outcome, Stage
from core.simulation import Cluster, a_spec

pytestmark = pytest.mark.exhaustive

LOST_SAVE = {"save": False}  # killed between acting and saving, or a conflict
LOST_ROUND = {"act": False, "save": False}  # killed before acting


def outcome(spec: str, faults: Mapping[int, Mapping[str, bool]]) -> tuple[Cluster, int]:
    cluster = Cluster(a_spec("1"), errors={"5": 0.04}).settle()
    began = cluster.rounds
    cluster.apply(a_spec(spec))
    shifted = {began + at: fault for at, fault in faults.items()}
    return cluster.settle(3000, faults=shifted), cluster.rounds - began


@pytest.mark.parametrize("fault", [LOST_SAVE, LOST_ROUND])
@pytest.mark.parametrize(("version", "ending"), [("2", Outcome.PROMOTED), ("5", Outcome.ROLLED_BACK)])
def test_a_crash_in_any_round_changes_no_outcome_and_leaves_no_orphan(
    version: str, ending: Outcome, fault: Mapping[str, bool]
) -> None:
    _, rounds = outcome(version, {})

    for at in range(rounds):
        cluster, _ = outcome(version, {at: fault})
        state = cluster.state()
        assert [one.outcome for one in state.history] == [ending], at
        assert state.stable is not None
        assert set(cluster.models()) == {state.stable.revision}, at
        assert cluster.weights() == {state.stable.revision: 100}, at


@pytest.mark.parametrize("fault", [LOST_SAVE, LOST_ROUND])
def test_crashes_in_every_other_round_only_cost_time(fault: Mapping[str, bool]) -> None:
    cluster, _ = outcome("2", dict.fromkeys(range(0, 1000, 2), fault))

    assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]


@pytest.mark.parametrize("stage", [Stage.PREPARING, Stage.ANALYSING, Stage.PROMOTING])
def test_a_third_revision_at_any_stage_ends_in_that_revision(stage: Stage) -> None:
    cluster = Cluster(a_spec("1")).settle()
    cluster.apply(a_spec("2"))
    cluster.run(2000, until=lambda it: it.state().stage is stage)

    cluster.apply(a_spec("3"))
    cluster.settle(3000)

    assert set(cluster.models()) == {cluster.revision("3")}
    assert cluster.state().history[0].outcome is Outcome.PROMOTED


@pytest.mark.parametrize("fault", [LOST_SAVE, LOST_ROUND])
def test_a_crash_in_any_round_of_the_beginning_still_ends_in_service(fault: Mapping[str, bool]) -> None:
    for at in range(6):
        cluster = Cluster(a_spec("1")).settle(200, faults={at: fault})
        assert cluster.state().stage is Stage.STABLE, at
