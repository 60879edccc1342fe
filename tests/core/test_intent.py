"""Does a person's word in spec act once, on the revision that it names, and leave a record of it?"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from assay.api.base import Verdict
from assay.api.modeldeployment import IntentName, ModelDeployment, Outcome, Stage, WishState, WishStatus
from core.simulation import START, Cluster, a_spec, told

LONG = [{"weight": 10, "minSeconds": 10}, {"weight": 50, "minSeconds": 300}]


def ask(cluster: Cluster, **intent: Any) -> None:
    """A user changes what spec.intent says, and nothing else."""
    cluster.apply({**cluster.spec, "intent": {**cluster.spec.get("intent", {}), **intent}})


def trial(cluster: Cluster, version: str = "2", weight: int = 10, **changes: Any) -> str:
    """Apply a version, run until it has a weight, and return its revision."""
    cluster.apply(a_spec(version, **changes))
    revision = cluster.revision(version)
    cluster.run(2000, until=lambda it: it.weights().get(revision) == weight and it.state().stage is Stage.ANALYSING)
    return revision


def failed(cluster: Cluster) -> str:
    """Let version 5 fail, and return its revision."""
    cluster.errors["5"] = 0.3
    cluster.apply(a_spec("5"))
    cluster.settle(2000)
    return cluster.revision("5")


def records(cluster: Cluster) -> list[tuple[str, str | None]]:
    return [(one.name, one.revision) for one in reversed(cluster.state().intent_history)]


def mark(cluster: Cluster, name: str) -> WishStatus:
    found: WishStatus | None = getattr(cluster.state().intent, name)
    assert found is not None
    return found


def outcomes(cluster: Cluster) -> list[Outcome]:
    return [one.outcome for one in reversed(cluster.state().history)]


# --- abort ---


@pytest.mark.parametrize("stage", [Stage.PREPARING, Stage.ANALYSING, Stage.PROMOTING])
def test_an_abort_rolls_back_at_any_stage_and_quarantines(cluster: Cluster, stage: Stage) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(2000, until=lambda it: it.state().stage is stage)
    revision = cluster.revision("2")
    before = cluster.weights()

    ask(cluster, abort=revision)
    cluster.round()
    assert (cluster.state().stage, cluster.weights()) == (Stage.ROLLING_BACK, before)
    assert records(cluster) == [("Abort", revision)]
    cluster.settle(300)
    cluster.run(300)

    assert outcomes(cluster) == [Outcome.ROLLED_BACK]
    assert "aborted by spec.intent.abort" in cluster.state().history[0].reason
    assert [one.revision for one in cluster.state().quarantined] == [revision]
    assert f'set spec.intent.retry to "{revision}"' in cluster.condition("Stalled").message
    assert "IntentAbort" in told(cluster.notes)


def test_an_abort_that_stays_in_git_does_not_act_on_a_second_trial_and_may_be_said_again(cluster: Cluster) -> None:
    revision = trial(cluster, strategy__canary__steps=LONG)
    ask(cluster, abort=revision)
    cluster.settle(300)

    ask(cluster, retry=revision)
    cluster.run(60)
    assert cluster.state().stage is Stage.ANALYSING
    assert mark(cluster, "abort").state is WishState.ACTED
    ask(cluster, abort=f"{revision}-2")
    cluster.settle(300)

    assert outcomes(cluster) == [Outcome.ROLLED_BACK, Outcome.ROLLED_BACK]


def test_an_abort_beside_another_revision_quarantines_the_one_and_begins_the_other(cluster: Cluster) -> None:
    revision = trial(cluster)

    cluster.apply(a_spec("3", intent={"abort": revision}))
    cluster.settle(2000)

    assert outcomes(cluster) == [Outcome.ROLLED_BACK, Outcome.PROMOTED]
    assert [one.revision for one in cluster.state().quarantined] == [revision]


# --- promote ---


@pytest.mark.parametrize("stage", [Stage.PREPARING, Stage.ANALYSING])
def test_a_promotion_by_hand_skips_steps_and_evidence_but_is_recorded_first_and_waits_for_capacity(
    cluster: Cluster, stage: Stage
) -> None:
    cluster.blind = True
    cluster.apply(a_spec("2", analysis__onNoData="Rollback"))
    revision = cluster.revision("2")
    cluster.run(2000, until=lambda it: it.state().stage is stage)
    before = cluster.weights()

    ask(cluster, promote=revision)
    cluster.round()
    assert (cluster.state().stage, cluster.weights()) == (Stage.PROMOTING, before)
    assert cluster.weights().get(revision, 0) < 100
    assert records(cluster) == [("Promote", revision)]

    def only_with_pods(it: Cluster, _decision: object) -> None:
        assert it.weights().get(revision, 0) < 100 or it.ready(revision) == 3

    cluster.settle(300, each=only_with_pods)
    assert outcomes(cluster) == [Outcome.PROMOTED]
    assert "promoted by spec.intent.promote" in cluster.state().history[0].reason.lower()


def test_a_check_that_fails_beats_a_promotion_by_hand_of_the_same_round_which_lapses() -> None:
    def course(asked_before: int) -> Cluster:
        cluster = Cluster(a_spec("1"), errors={"5": 0.3}).settle()
        cluster.apply(a_spec("5"))
        cluster.run(2000, until=lambda it: it.rounds == asked_before or it.state().stage is Stage.ROLLING_BACK)
        return cluster

    failing = course(0).rounds - 1  # the last round before the one that turns
    cluster = course(failing)
    cluster.pass_time(5.0)
    revision = cluster.revision("5")
    ask(cluster, promote=revision)
    cluster.round()
    assert cluster.state().stage is Stage.ROLLING_BACK
    cluster.settle(2000)

    assert cluster.state().checks[0].verdict is Verdict.FAIL
    assert outcomes(cluster) == [Outcome.ROLLED_BACK]
    assert mark(cluster, "promote").state is WishState.LAPSED
    assert "failed" in mark(cluster, "promote").message
    assert records(cluster) == []


def test_a_revision_in_quarantine_is_not_promoted_by_hand_before_it_may_be_tried_again(cluster: Cluster) -> None:
    revision = failed(cluster)

    ask(cluster, promote=revision)
    cluster.run(200)
    assert cluster.state().stage is Stage.ROLLED_BACK
    assert mark(cluster, "promote").state is WishState.WAITING
    assert "spec.intent.retry" in mark(cluster, "promote").message
    ask(cluster, retry=revision)
    cluster.settle(300)

    assert cluster.weights() == {revision: 100}
    assert records(cluster) == [("Retry", revision), ("Promote", revision)]


# --- all of them ---


def test_the_record_keeps_the_last_ten(cluster: Cluster) -> None:
    for at in range(12):
        ask(cluster, paused=at % 2 == 0)
        cluster.round()

    assert len(cluster.state().intent_history) == 10
    assert cluster.state().intent_history[0].name is IntentName.RESUME


@pytest.mark.parametrize("version", ["2", "5"])
def test_intents_that_name_another_revision_change_nothing(version: str) -> None:
    def course(intent: Mapping[str, Any]) -> list[Any]:
        cluster = Cluster(a_spec("1"), errors={"5": 0.04}).settle()
        seen: list[Any] = []
        cluster.apply(a_spec(version, intent=intent))

        def note(it: Cluster, _decision: object) -> None:
            state = it.state()
            seen.append((state.stage, it.weights(), it.now - START, state.checks, state.conditions, state.history))

        cluster.settle(2000, each=note)
        return seen

    stable = Cluster(a_spec("1")).revision("1")
    for name in (stable, "00000000", Cluster(a_spec("1")).revision("9")):
        assert course({"abort": name, "promote": f"{name}-7", "retry": name}) == course({})


def test_a_name_of_nobody_is_told_and_stalls_nothing(cluster: Cluster) -> None:
    ask(cluster, abort="00000000")
    cluster.round()

    assert mark(cluster, "abort").state is WishState.UNKNOWN
    assert (cluster.condition("Ready").status, cluster.state().intent_history) == ("True", [])
    ask(cluster, abort="")
    cluster.round()
    assert cluster.state().intent.abort is None


def test_a_wish_for_a_candidate_to_come_waits_for_it(cluster: Cluster) -> None:
    ask(cluster, abort=cluster.revision("2"))
    cluster.round()
    cluster.apply(a_spec("2", intent=cluster.spec["intent"]))
    cluster.settle(300)

    assert outcomes(cluster) == [Outcome.ROLLED_BACK]


Ask = Callable[[Cluster, str], None]
ASKED: dict[str, tuple[str, Ask, list[Outcome]]] = {
    "abort": ("2", lambda it, revision: ask(it, abort=revision), [Outcome.ROLLED_BACK]),
    "promote": ("2", lambda it, revision: ask(it, promote=revision), [Outcome.PROMOTED]),
    "retry": ("5", lambda it, revision: ask(it, retry=revision), [Outcome.ROLLED_BACK] * 2),
}


@pytest.mark.parametrize("fault", [{"save": False}, {"act": False, "save": False}], ids=["unsaved", "undone"])
@pytest.mark.parametrize("name", ASKED)
def test_a_crash_in_any_round_after_an_intent_changes_no_outcome_and_no_record(
    name: str, fault: Mapping[str, bool]
) -> None:
    version, act, expected = ASKED[name]

    def course(at: int | None) -> tuple[Cluster, int]:
        cluster = Cluster(a_spec("1"), errors={"5": 0.3}).settle()
        revision = failed(cluster) if name == "retry" else trial(cluster, version)
        began = cluster.rounds
        act(cluster, revision)
        cluster.round(**({} if at != 0 else fault))
        return cluster.settle(3000, faults={} if at is None else {began + at: fault}), cluster.rounds - began

    for at in range(course(None)[1]):
        cluster, _ = course(at)
        assert outcomes(cluster) == expected, at
        assert [one for one, _ in records(cluster)] == [name.capitalize()], at
        assert len(cluster.models()) == 1, at


@pytest.mark.parametrize("text", ["", "1a2b3c4d", "1a2b3c4d-2"])
def test_spec_survives_the_way_through_json(text: str) -> None:
    spec = a_spec("1", intent={"paused": True, "abort": text, "retry": text, "promote": text})
    parsed = ModelDeployment.model_validate({"metadata": {"name": "m"}, "spec": spec})

    assert ModelDeployment.model_validate(parsed.to_manifest()) == parsed
