"""Does a rollout move only on measurements?"""

from assay.api.base import Verdict
from assay.api.modeldeployment import CheckStatus, Outcome, ProcessState, Stage
from assay.core import canary
from assay.core.decision import Decision, Needs
from assay.core.world import look_at
from core.simulation import Cluster, a_spec


def test_without_data_a_rollout_holds_and_never_promotes(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(until=lambda it: it.state().stage is Stage.ANALYSING)
    cluster.blind = True

    cluster.run(1000)

    state = cluster.state()
    assert state.stage is Stage.ANALYSING
    assert state.candidate is not None
    assert state.candidate.step == 0
    assert (state.verdict, cluster.condition("Stalled").reason) == (Verdict.NO_DATA, "NoData")


def test_data_that_comes_back_is_counted_and_the_rollout_goes_on(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(until=lambda it: it.state().stage is Stage.ANALYSING)
    cluster.blind = True
    cluster.run(100)
    cluster.blind = False

    cluster.settle(2000)

    assert cluster.state().history[0].outcome is Outcome.PROMOTED


def test_a_step_is_not_left_without_data_however_much_was_counted_before(cluster: Cluster) -> None:
    steps = [{"weight": 10, "minSeconds": 100}, {"weight": 50}]
    cluster.apply(a_spec("2", strategy__canary__steps=steps))
    cluster.run(until=lambda it: it.state().verdict is not None and it.state().checks[0].requests > 100)
    cluster.blind = True

    cluster.run(300)

    state = cluster.state()
    assert state.candidate is not None
    assert (state.candidate.step, state.verdict) == (0, Verdict.NO_DATA)


def test_without_data_a_rollout_goes_back_where_the_user_says_so(cluster: Cluster) -> None:
    cluster.apply(a_spec("2", analysis__onNoData="Rollback"))
    cluster.run(until=lambda it: it.state().stage is Stage.ANALYSING)
    cluster.blind = True

    cluster.settle(1000)

    assert "no data" in cluster.state().history[0].reason
    assert cluster.state().stage is Stage.ROLLED_BACK


def test_without_traffic_a_rollout_never_leaves_its_step() -> None:
    cluster = Cluster(a_spec("1"), rate=0.0).settle()
    cluster.apply(a_spec("2", analysis__gate="Time"))

    cluster.run(500)

    state = cluster.state()
    assert state.candidate is not None
    assert (state.stage, state.candidate.step, state.verdict) == (Stage.ANALYSING, 0, Verdict.NO_DATA)


def test_nothing_is_counted_from_a_new_weight_until_every_router_has_it(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    cluster.run(2000, until=lambda it: it.state().stage is Stage.ANALYSING)
    cluster.run(2000, until=lambda it: it.state().stage is Stage.PREPARING)
    cluster.deaf.add(cluster.routers()[0])
    cluster.run(10, until=lambda it: it.weights()[it.revision("2")] == 50)
    before = cluster.state().checks[0].totals

    cluster.errors["2"] = 0.5
    cluster.run(60)
    assert cluster.state().checks[0].totals == before
    cluster.deaf.clear()
    cluster.pass_time(0.5)
    cluster.errors["2"] = 0.01
    cluster.settle(2000)

    assert cluster.state().history[0].outcome is Outcome.PROMOTED


def test_a_candidate_that_turns_bad_at_the_last_step_is_not_promoted_on_the_evidence_of_the_first() -> None:
    cluster = Cluster(a_spec("1"), rate=2000.0).settle()
    steps = [{"weight": 10, "minSeconds": 200}, {"weight": 50, "minSeconds": 10}]
    cluster.apply(a_spec("2", strategy__canary__steps=steps, analysis__checks=[
        {"name": "errors", "preset": "error-ratio", "tolerance": {"relative": "5"}, "margin": {"relative": "6"}}
    ]))  # fmt: skip
    cluster.run(2000, until=lambda it: it.weights().get(it.revision("2")) == 50)
    assert cluster.state().checks[0].safety.score >= 20

    cluster.errors["2"] = 0.075
    cluster.run(300)

    assert Outcome.PROMOTED not in [one.outcome for one in cluster.state().history]
    assert Stage.PROMOTING not in [after for _, after in cluster.stages]


def test_a_step_asks_for_its_own_pass_where_the_gate_says_so(cluster: Cluster) -> None:
    cluster.apply(a_spec("2", analysis__gate="Pass"))

    cluster.run(
        2000, until=lambda it: (it.stages[-1], len(it.stages) > 4) == ((Stage.ANALYSING, Stage.PREPARING), True)
    )

    assert cluster.state().checks[0].safety.score >= 20


def test_half_of_the_harm_evidence_keeps_a_candidate_in_its_step_unless_the_gate_is_time(cluster: Cluster) -> None:
    seen = CheckStatus(name="errors", verdict=Verdict.UNDECIDED, step_requests=1)
    half, less = (seen.model_copy(update={"harm": ProcessState(score=score)}) for score in (50.0, 49.9))
    evidence, time = (a_spec("2", analysis__gate=gate) for gate in ("Evidence", "Time"))

    cluster.apply(evidence)
    assert "half of the evidence" in canary.ungated(cluster.resource().spec, [half])
    assert not canary.ungated(cluster.resource().spec, [less])
    cluster.apply(time)
    assert not canary.ungated(cluster.resource().spec, [half])
    assert canary.ungated(cluster.resource().spec, [])


def test_a_pause_before_the_first_weight_is_left_under_every_gate() -> None:
    for gate in ("Evidence", "Pass", "Time"):
        cluster = Cluster(a_spec("1")).settle()
        steps = [{"pause": {"seconds": 20}}, {"weight": 50, "minSeconds": 10}]
        cluster.apply(a_spec("2", strategy__canary__steps=steps, analysis__gate=gate))

        cluster.settle(2000)

        assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]


def test_a_candidate_with_half_of_the_evidence_that_rolls_back_is_not_promoted_even_if_it_passed(
    cluster: Cluster,
) -> None:
    spec = a_spec("2", strategy__canary__steps=[{"weight": 50, "minSeconds": 10}])
    cluster.apply(spec)
    cluster.run(until=lambda it: it.state().verdict is Verdict.PASS)
    assert cluster.state().stage is Stage.PROMOTING
    (check,) = cluster.state().checks
    harmed = check.model_copy(update={"harm": check.harm.model_copy(update={"score": 60.0})})
    candidate = cluster.state().candidate
    assert candidate is not None
    back = cluster.state().model_copy(
        update={
            "stage": Stage.ANALYSING,
            "checks": [harmed],
            "candidate": candidate.model_copy(update={"outcome": None}),
        }
    )

    found = look_at(cluster.resource().model_copy(update={"status": back}), cluster.look(Needs()))

    assert "half of the evidence that rolls back" in canary.obstacle(found, back)
    after = back.model_copy(update={"checks": [check]})
    assert canary.obstacle(found, after) == ""


def test_the_check_that_decided_is_a_required_one_that_passed_last() -> None:
    more = [
        {"name": "told", "preset": "error-ratio", "required": False, "margin": {"relative": "0.11"}},
        {"name": "loose", "preset": "error-ratio", "margin": {"relative": "9"}},
        {"name": "strict", "preset": "error-ratio", "margin": {"relative": "0.40"}},
    ]
    cluster = Cluster(a_spec("1")).settle()
    cluster.apply(a_spec("2", analysis__checks=more, strategy__canary__steps=[{"weight": 50, "minSeconds": 10}]))

    cluster.settle(2000)

    assert cluster.state().history[0].worst_check == "strict"


def test_the_step_is_shown_as_people_count(cluster: Cluster) -> None:
    cluster.apply(a_spec("2"))
    shown: dict[int, str] = {}

    def note(it: Cluster, _: Decision) -> None:
        candidate = it.state().candidate
        if candidate is not None:
            shown[candidate.step] = candidate.step_text

    cluster.settle(2000, each=note)

    assert shown == {0: "1/2", 1: "2/2"}
