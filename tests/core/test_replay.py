"""What was recorded of a rollout is judged as the operator judged it when it happened."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from assay.api.base import Verdict
from assay.api.modeldeployment import ModelDeployment, ModelDeploymentSpec, Stage
from assay.core.decision import Missing, Query, Series
from assay.core.measures import RESPONSE_CLASS
from assay.core.names import METRIC_REVISION
from assay.core.replay import Decision, Judged, Recording
from assay.core.replay import replay as looks_of
from assay.core.scrapes import Events
from assay.core.times import parsed
from core.simulation import Cluster, a_spec

ONE_STEP: dict[str, Any] = {"strategy__canary__steps": [{"weight": 20, "minSeconds": 0}], "analysis__dispersion": "1"}


def spec_of(**changes: Any) -> ModelDeploymentSpec:
    return ModelDeployment.model_validate(
        {"metadata": {"name": "flights"}, "spec": a_spec(**{**ONE_STEP, **changes})}
    ).spec


class Recorder(Cluster):
    """A cluster of whose counters somebody keeps the sample with which counting begins, and the newest one at each look."""

    since: float = math.inf
    base: float = math.inf
    kept: dict[tuple[str, str, str], dict[float, float]]

    def _series(self, query: Query) -> tuple[Series, ...] | Missing:
        found = super()._series(query)
        if not query.history and isinstance(found, tuple):
            self.__dict__.setdefault("kept", defaultdict(dict))
            self.base = min(self.base, *(at for one in found for at, _ in one.samples if at > self.since), math.inf)
            for one in found:
                kept = self.kept[one.labels["pod"], one.labels[METRIC_REVISION], one.labels[RESPONSE_CLASS]]
                kept.update(pair for pair in one.samples if pair[0] == self.base)
                kept.update(one.samples[-1:] if one.samples[-1][0] > self.since else ())
        return found

    def recording(self, stable: str, candidate: str) -> Recording:
        names = {self.revision(stable): "stable", self.revision(candidate): "candidate"}
        series = [
            (code, Series({METRIC_REVISION: names[revision], "pod": pod}, tuple(samples.items())))
            for (pod, revision, code), samples in self.kept.items()
            if revision in names and samples
        ]
        return {
            "errors": Events.proportion(
                tuple(one for code, one in series if code == "5"), tuple(one for _, one in series)
            )
        }


@pytest.mark.parametrize("restarts", [0, 1, 2])
@pytest.mark.parametrize(
    ("version", "errors", "decision"), [("2", 0.01, Decision.PROMOTE), ("5", 0.05, Decision.ROLLBACK)]
)
def test_a_recorded_rollout_is_decided_as_the_operator_decided_it_at_the_same_look(
    version: str, errors: float, decision: Decision, restarts: int
) -> None:
    cluster = Recorder(a_spec("1"), errors={version: errors}).settle()
    cluster.apply(a_spec(version, **ONE_STEP, analysis__warmupSeconds=0))
    cluster.run(600, until=lambda it: it.state().stage is Stage.ANALYSING)
    candidate = cluster.state().candidate
    assert candidate is not None
    assert candidate.count_time is not None
    cluster.since = parsed(candidate.count_time).timestamp()
    for _ in range(restarts):
        cluster.run(7)
        cluster.replace_router(cluster.routers()[0])
    cluster.run(900, until=lambda it: bool(it.state().decision_time))
    (check,), decided = cluster.state().checks, cluster.state().decision_time
    assert decided is not None

    looks = list(looks_of(spec_of(analysis__warmupSeconds=0), cluster.recording("1", version)))

    (judged,) = looks[-1].checks
    assert (looks[-1].decision, judged.verdict) == (decision, check.verdict)
    if restarts:  # the operator sees scrapes between two looks too, and so the first one of the new router
        assert looks[-1].time == pytest.approx(parsed(decided).timestamp(), abs=5.0)
        return
    assert looks[-1].time == parsed(decided).timestamp()
    assert (judged.totals, judged.reason) == (check.totals, check.reason)
    assert (judged.harm, judged.safety) == (check.harm, check.safety)


def recorded(candidate: Callable[[int], float], stable: Callable[[int], float], looks: int = 60) -> Recording:
    """Cumulative counters of 300 and 2,700 requests a look, with so many bad ones at each; the first look is all zeros."""
    kinds: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for role, size, bad in (("candidate", 300, candidate), ("stable", 2700, stable)):
        total = failed = 0.0
        for look in range(looks + 1):
            if look:
                total, failed = total + size, failed + bad(look)
            kinds[role, "total"].append((30.0 * look, total))
            kinds[role, "bad"].append((30.0 * look, failed))
    series = {key: Series({METRIC_REVISION: key[0], "pod": key[0]}, tuple(pairs)) for key, pairs in kinds.items()}
    roles = ("candidate", "stable")
    return {
        "errors": Events.proportion(tuple(series[r, "bad"] for r in roles), tuple(series[r, "total"] for r in roles))
    }


PLAIN: dict[str, Any] = {"analysis__warmupSeconds": 0, "analysis__falseRollback": "0.05"}
PLAIN_CHECK = [{"name": "errors", "preset": "error-ratio", "tolerance": {"relative": "0"}}]


def judge(recording: Recording, **changes: Any) -> list[Judged]:
    return list(looks_of(spec_of(**{**PLAIN, "analysis__checks": PLAIN_CHECK, **changes}), recording))


def test_the_golden_trace_of_the_kernel_is_replayed_to_the_printed_digits() -> None:
    looks = judge(recorded(lambda k: [6, 5, 8][k - 1], lambda k: [27, 25, 29][k - 1], looks=3))

    assert [one.checks[0].harm.score for one in looks[1:]] == pytest.approx([2.614441, 5.066189, 20.0], abs=1e-6)
    assert (looks[-1].decision, looks[-1].time, looks[-1].check) == (Decision.ROLLBACK, 90.0, "errors")
    assert looks[-1].evidence[0][0] == 1.0


def test_nothing_is_decided_on_nothing() -> None:
    assert judge({"errors": Events.proportion((), ())}) == []
    empty = recorded(lambda _: 0, lambda _: 0, looks=10)
    only_stable = {
        "errors": Events.proportion(
            *(tuple(one for one in kind if one.labels["pod"] == "stable") for kind in empty["errors"].series[:2])
        )
    }

    looks = judge(only_stable)

    assert {one.decision for one in looks} == {Decision.UNDECIDED}
    assert looks[-1].checks[0].verdict is Verdict.NO_DATA


@pytest.mark.parametrize(("looks", "decision"), [(2, Decision.UNDECIDED), (8, Decision.ROLLBACK)])
def test_without_a_candidate_there_is_no_data_which_rolls_back_where_the_spec_says_so(
    looks: int, decision: Decision
) -> None:
    both = recorded(lambda _: 0, lambda _: 0, looks=looks)["errors"]

    without = Events.proportion(*(kind[1:] for kind in both.series[:2]))
    last = judge({"errors": without}, analysis__onNoData="Rollback")[-1]

    assert last.decision is decision
    assert last.check == ("errors" if decision is Decision.ROLLBACK else "")


def test_counters_that_begin_anew_fake_nothing() -> None:
    whole = recorded(lambda _: 3, lambda _: 27)["errors"]
    fallen = [
        tuple(
            replace(
                one,
                samples=tuple(
                    (at, value - dict(one.samples)[300.0] if at > 300 else value) for at, value in one.samples
                ),
            )
            for one in series
        )
        for series in whole.series[:2]
    ]

    first, second = (
        [(one.time, one.decision, one.evidence, one.checks[0].totals) for one in judge({"errors": events})]
        for events in (Events.proportion(*fallen), whole)
    )
    assert first == second


def test_what_was_recorded_before_the_candidate_came_tells_the_dispersion() -> None:
    """Stable fails in bursts of ten in the half minutes before; so twenty failures of the candidate are not twenty facts."""
    history = [(30.0 * look, 2700.0 * look) for look in range(41)]
    pods = []
    for pod in range(3):
        failed, bad = 0.0, []
        for look in range(41):
            failed += 12.0 if look and look % 3 == pod else 0.0
            bad.append((30.0 * look, failed))
        pods.append(bad)
    candidate = [(1200.0, 0.0), (1230.0, 300.0)]
    total = [Series({METRIC_REVISION: "stable", "pod": f"p{pod}"}, tuple(history)) for pod in range(3)]
    bads = [Series({METRIC_REVISION: "stable", "pod": f"p{pod}"}, tuple(bad)) for pod, bad in enumerate(pods)]
    mine = Series({METRIC_REVISION: "candidate", "pod": "c"}, tuple(candidate))
    events = Events.proportion((*bads, Series(mine.labels, ((1200.0, 0.0), (1230.0, 9.0)))), (*total, mine))
    spec = ModelDeployment.model_validate(
        {"metadata": {"name": "flights"}, "spec": a_spec(analysis__warmupSeconds=0)}
    ).spec

    looks = list(looks_of(spec, {"errors": events}))

    assert looks[-1].checks[0].dispersion > 3, looks[-1].checks[0]
    assert [one.time for one in looks] == [1170.0, 1200.0, 1230.0]
