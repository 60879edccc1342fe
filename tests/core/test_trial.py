"""What a rollout does next with these verdicts, at this moment, with these pods: one round of a candidate on trial."""

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from assay.api.base import Verdict
from assay.api.modeldeployment import CheckStatus, ModelDeployment, Outcome, Stage
from assay.core import trial
from assay.core.decision import Seen
from assay.core.plan import Plan, candidate_of
from assay.core.rollout import needs
from assay.core.times import moment
from assay.core.world import World, look_at
from core.simulation import START, Cluster, a_spec

ERRORS = {"name": "errors", "preset": "error-ratio"}
STEPS = [{"weight": 10, "minSeconds": 10}, {"pause": {"seconds": 30}}, {"weight": 50, "minSeconds": 10}]
BEGUN = START + timedelta(hours=1)


@cache
def serving() -> tuple[ModelDeployment, Seen, str, str]:
    """A world in which the routers send 10 % to a candidate, whose checks have not been looked at yet."""
    cluster = Cluster(a_spec("1")).settle()
    cluster.apply(a_spec("2", strategy__canary__steps=STEPS))
    cluster.run(300, until=lambda it: it.state().stage is Stage.ANALYSING)
    resource = cluster.resource()
    seen = replace(cluster.look(needs(resource, cluster.now)), now=BEGUN, series={})
    return resource, seen, cluster.revision("1"), cluster.revision("2")


def a_world(  # noqa: PLR0913 - each may be otherwise
    seconds: float = 100.0,
    *,
    checks: tuple[CheckStatus, ...] = (),
    candidate: dict[str, Any] | None = None,
    ready: int | None = None,
    weight: int | None = None,
    stable_ready: int | None = None,
    **changes: Any,
) -> World:
    """The same world, so many seconds after the rollout and its step began, with other things in spec and status."""
    resource, seen, stable, revision = serving()
    times = {"start_time": moment(BEGUN), "step_start_time": moment(BEGUN), "look_time": moment(BEGUN), "step": 0}
    assert resource.status.candidate is not None
    begun = resource.status.candidate.model_copy(update={**times, "step_requests": 500, **(candidate or {})})
    status = resource.status.model_copy(update={"candidate": begun, "checks": list(checks)})
    written = {**a_spec("2", strategy__canary__steps=STEPS, analysis__deadlineSeconds=1000)}
    for path, value in changes.items():
        part, _, name = path.partition("__")
        written[part] = {**written.get(part, {}), name: value}
    spec = ModelDeployment.model_validate({"metadata": resource.metadata, "spec": written}).spec
    resource = resource.model_copy(update={"spec": spec, "status": status})
    world = look_at(resource, replace(seen, now=BEGUN + timedelta(seconds=seconds)))
    for name, pods in ((revision, ready), (stable, stable_ready)):
        if pods is not None:
            deployment = {**world.deployments[name], "status": {"readyReplicas": pods}}
            world = replace(world, deployments={**world.deployments, name: deployment})
    if weight is not None:
        assert world.split is not None
        shares = {revision: weight, stable: 100 - weight}
        backends = [one.model_copy(update={"weight": shares[one.revision]}) for one in world.split.backends]
        world = replace(world, split=world.split.model_copy(update={"backends": backends}))
    return world


def a_check(verdict: Verdict, name: str = "errors", **changes: Any) -> CheckStatus:
    return CheckStatus(name=name, verdict=verdict, reason="Told.", step_requests=300, measured_looks=3, **changes)


def went(plan: Plan) -> tuple[Stage | None, Outcome | None, str]:
    candidate = plan.status.candidate
    return plan.status.stage, candidate.outcome if candidate else None, plan.status.worst_check


BACK = (Stage.ROLLING_BACK, Outcome.ROLLED_BACK, "errors")
LAST = {"step": 2}


def test_a_rollout_begins_with_the_pods_of_its_first_weight_and_without_traffic() -> None:
    _, _, stable, revision = serving()

    begun = trial.start(a_world(strategy__canary={"steps": [{"weight": 10}, {"weight": 50}]}))

    assert (begun.replicas, begun.weights) == ({stable: 3, revision: 1}, ((stable, 100),))
    assert begun.status.stage is Stage.PREPARING
    assert (candidate_of(begun.status).step, candidate_of(begun.status).step_start_time) == (0, None)


def test_a_failed_check_turns_back_at_once_whatever_else_there_is() -> None:
    failed = a_check(Verdict.FAIL)

    for world in (
        a_world(1, checks=(failed,)),
        a_world(5000, checks=(failed,)),
        a_world(checks=(failed,), candidate=LAST, weight=50),
        a_world(checks=(failed,), intent__paused=True),
        a_world(checks=(failed,), intent__promote=serving()[3]),
    ):
        assert went(trial.analysing(world)) == went(trial.preparing(world)) == BACK
        assert trial.analysing(world).status.decision == "Check errors failed: Told."


def test_a_person_promotes_what_has_not_failed() -> None:
    for checks in ((a_check(Verdict.NO_DATA),), (), (a_check(Verdict.UNDECIDED),)):
        world = a_world(checks=checks, intent__promote=serving()[3], analysis__onNoData="Rollback")
        assert went(trial.analysing(world)) == (Stage.PROMOTING, Outcome.PROMOTED, "errors" if checks else "")
    paused = a_world(checks=(a_check(Verdict.PASS),), intent__promote=serving()[3], intent__paused=True)
    assert went(trial.analysing(paused))[0] is Stage.ANALYSING
    other = a_world(checks=(a_check(Verdict.PASS),), intent__promote=serving()[2])
    assert went(trial.analysing(other))[0] is not Stage.PROMOTING


def test_without_data_it_turns_back_only_where_the_user_says_so() -> None:
    unknown = a_check(Verdict.NO_DATA)

    assert went(trial.analysing(a_world(checks=(unknown,), analysis__onNoData="Rollback"))) == BACK
    held = trial.analysing(a_world(checks=(unknown,)))
    assert (went(held)[0], held.problem is not None and held.problem.reason) == (Stage.ANALYSING, "NoData")


@pytest.mark.parametrize(("seconds", "over"), [(999, False), (1000, True), (1001, True)])
def test_at_the_deadline_it_turns_back_where_the_user_says_so_and_says_that_it_holds_elsewhere(
    seconds: float,
    over: bool,  # noqa: FBT001
) -> None:
    undecided = (a_check(Verdict.UNDECIDED),)

    back = trial.analysing(
        a_world(seconds, checks=undecided, candidate=LAST, weight=50, ready=2, analysis__onDeadline="Rollback")
    )
    held = trial.analysing(a_world(seconds, checks=undecided, candidate=LAST, weight=50, ready=2))

    assert went(back) == (BACK if over else (Stage.ANALYSING, None, ""))
    assert went(held) == (Stage.ANALYSING, None, "")
    assert (held.problem is not None and held.problem.reason == "DeadlineExceeded") is over


def test_the_deadlines_clock_stands_still_while_paused_and_leaves_out_earlier_pauses() -> None:
    undecided = (a_check(Verdict.UNDECIDED),)

    def turns(seconds: float, paused: float, **changes: Any) -> bool:
        candidate = {**LAST, "paused_seconds": paused}
        world = a_world(
            seconds, checks=undecided, candidate=candidate, weight=50, analysis__onDeadline="Rollback", **changes
        )
        return went(trial.analysing(world)) == BACK

    assert [turns(1100, 101), turns(1100, 100)] == [False, True]
    assert not turns(5000, 0, intent__paused=True)


def test_a_candidate_that_never_had_a_pod_or_a_weight_is_rolled_back_at_the_deadline() -> None:
    waiting = {"step_start_time": None}

    def back(seconds: float, candidate: dict[str, Any] = waiting, weight: int = 0) -> bool:
        world = a_world(seconds, candidate=candidate, weight=weight, ready=0)
        return went(trial.preparing(world))[0] is Stage.ROLLING_BACK

    assert back(1000)
    assert not back(999)
    assert not back(1000, weight=10)
    assert not back(1000, {**waiting, "step": 1})
    assert not back(1000, {})


def test_a_step_is_left_when_its_time_and_its_requests_are_over_and_no_check_is_in_the_way() -> None:
    well = (a_check(Verdict.UNDECIDED),)

    left = trial.analysing(a_world(10, checks=well))

    assert (went(left)[0], candidate_of(left.status).step) == (Stage.ANALYSING, 1)
    assert (candidate_of(left.status).step_requests, left.weights[0][1]) == (0, 10)
    assert candidate_of(left.status).step_start_time == moment(BEGUN + timedelta(seconds=10))
    for world in (
        a_world(9, checks=well),
        a_world(checks=well, candidate={"step_requests": 0}),
        a_world(checks=(a_check(Verdict.UNDECIDED, missed_looks=1),)),
        a_world(checks=well, intent__paused=True),
        replace(a_world(checks=well), acked_time=None),
    ):
        assert candidate_of(trial.analysing(world).status).step == 0


def test_after_a_pause_the_next_weight_is_prepared_and_pods_come_first() -> None:
    left = trial.analysing(a_world(30, checks=(a_check(Verdict.UNDECIDED),), candidate={"step": 1}))

    candidate, (_, _, stable, revision) = candidate_of(left.status), serving()
    assert (left.status.stage, candidate.step, candidate.step_start_time) == (Stage.PREPARING, 2, None)
    assert (candidate.step_requests, left.weights) == (0, ((revision, 10), (stable, 90)))
    assert left.replicas == {stable: 3, revision: 2}


def test_only_at_the_last_weight_and_only_when_passed_is_a_candidate_promoted() -> None:
    def stage(verdict: Verdict, step: int, weight: int, **changes: Any) -> Stage | None:
        world = a_world(checks=(a_check(verdict),), candidate={"step": step}, weight=weight, **changes)
        return trial.analysing(world).status.stage

    assert stage(Verdict.PASS, 2, 50, analysis__gate="Time") is Stage.PROMOTING
    assert stage(Verdict.UNDECIDED, 2, 50, analysis__gate="Time") is Stage.ANALYSING
    assert stage(Verdict.PASS, 0, 10) is Stage.ANALYSING
    assert stage(Verdict.PASS, 1, 10) is Stage.PREPARING
    assert stage(Verdict.PASS, 2, 50, intent__paused=True) is Stage.ANALYSING


def test_a_promotion_names_the_check_that_passed_last_with_the_least_evidence() -> None:
    checks = tuple(a_check(Verdict.PASS, name) for name in ("errors", "second"))
    written = [ERRORS, {**ERRORS, "name": "second"}]

    plan = trial.analysing(a_world(checks=checks, candidate=LAST, weight=50, analysis__checks=written))

    assert went(plan) == (Stage.PROMOTING, Outcome.PROMOTED, "errors")
    assert plan.status.decision == "Every required check passed at 50 %: errors: Told. second: Told."
    assert plan.again_in == 0.0


def test_an_event_s_sentence_is_as_long_as_the_api_server_takes_and_no_longer() -> None:
    long = a_check(Verdict.PASS).model_copy(update={"reason": "Told. " * 300})

    (note,) = trial.analysing(a_world(checks=(long,), candidate=LAST, weight=50)).notes

    assert note.reason == "Promoting"
    assert len(note.message) == 1024


def test_without_a_ready_pod_the_candidates_share_goes_back_to_whoever_is_ready_and_the_step_begins_anew() -> None:
    _, _, stable, revision = serving()
    passed = (a_check(Verdict.PASS),)

    lost = trial.analysing(a_world(checks=passed, candidate=LAST, weight=50, ready=0))
    both = trial.analysing(a_world(checks=passed, candidate=LAST, weight=50, ready=0, stable_ready=0))

    assert (lost.status.stage, lost.weights) == (Stage.PREPARING, ((revision, 0), (stable, 100)))
    assert (both.status.stage, both.weights) == (Stage.PREPARING, ((revision, 50), (stable, 50)))
    assert candidate_of(lost.status).step_start_time is None


def test_another_split_than_the_steps_begins_the_step_anew_and_never_with_more_than_its_weight() -> None:
    _, _, stable, revision = serving()
    for weight, kept in ((40, 10), (5, 5)):
        again = trial.analysing(a_world(checks=(a_check(Verdict.PASS),), weight=weight))
        assert (again.status.stage, again.weights) == (Stage.PREPARING, ((revision, kept), (stable, 100 - kept)))
    other = a_world(checks=(a_check(Verdict.PASS),))
    other = replace(other, split=other.split.model_copy(update={"generation": 99}) if other.split else None)
    assert trial.analysing(other).status.stage is Stage.PREPARING


def test_the_weight_moves_once_the_pods_are_ready_and_the_step_begins_once_every_router_has_it() -> None:
    _, _, stable, revision = serving()
    later = {"step": 2, "step_start_time": None}

    waits = trial.preparing(a_world(candidate=later, ready=1))
    moves = trial.preparing(a_world(candidate=later, ready=2))
    unsure = trial.preparing(replace(a_world(candidate=later, weight=50, ready=2), acked_time=None))
    begins = trial.preparing(a_world(candidate=later, weight=50, ready=2))

    assert (waits.weights, waits.replicas) == (((revision, 10), (stable, 90)), {stable: 3, revision: 2})
    assert moves.weights == unsure.weights == begins.weights == ((revision, 50), (stable, 50))
    stages = [one.status.stage for one in (waits, moves, unsure, begins)]
    assert stages == [*[serving()[0].status.stage] * 3, Stage.ANALYSING]
    candidate = candidate_of(begins.status)
    assert (
        candidate.step_start_time
        == candidate.count_time
        == candidate.look_time
        == moment(BEGUN + timedelta(seconds=100))
    )
    assert candidate.step_requests == 0


def test_while_it_is_prepared_a_share_that_nobody_answers_goes_back_where_stable_can_take_it() -> None:
    _, _, stable, revision = serving()
    later = {"step": 2, "step_start_time": None}

    def weights(**changes: Any) -> dict[str, int]:
        return dict(trial.preparing(a_world(candidate=later, **changes)).weights)

    assert weights(ready=0) == {revision: 0, stable: 100}
    assert weights(ready=0, stable_ready=0) == weights(ready=1) == {revision: 10, stable: 90}
    assert weights(ready=0, weight=0) == weights(ready=0, weight=1) == {revision: 0, stable: 100}
    assert weights(ready=0, stable_ready=1) == {revision: 0, stable: 100}
    unknown = a_world(candidate=later, ready=0)
    assert unknown.split is not None
    alone = [one.model_copy(update={"weight": 100}) for one in unknown.split.backends if one.revision == stable]
    unknown = replace(unknown, split=unknown.split.model_copy(update={"backends": alone}))
    assert trial.preparing(unknown).weights == ((stable, 100),)


def test_a_pause_keeps_the_weight_from_growing_but_not_from_being_counted() -> None:
    later = {"step": 2, "step_start_time": None}

    held = trial.preparing(a_world(candidate=later, ready=2, intent__paused=True))
    there = trial.preparing(a_world(candidate=later, ready=2, weight=50, intent__paused=True))

    assert (held.paused, held.weights[0][1]) == (True, 10)
    assert (there.paused, there.status.stage) == (False, Stage.ANALYSING)
