"""From which moment on do samples count, and what is known after a look?"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assay.api.base import Verdict
from assay.api.modeldeployment import CheckStatus
from assay.core import looking
from assay.core.decision import Missing, Query, Series
from assay.core.plan import candidate_of
from assay.core.scrapes import Arms
from assay.core.times import moment
from assay.core.world import World
from core.test_trial import BEGUN, ERRORS, a_check, a_world, serving

REQUESTS = Query("envoy_cluster_upstream_rq_xx", (("assay_via", "split"),))
NOW = BEGUN + timedelta(seconds=100)
EARLIER = moment(BEGUN + timedelta(seconds=40))


def arms() -> Arms:
    return Arms(serving()[2], serving()[3])


def counting_since(world: World) -> str | None:
    return candidate_of(looking.looked(world)).count_time


def at_generation(world: World, told: int) -> World:
    """The status knows of this generation of the split."""
    resource = world.resource.model_copy(update={"status": world.status.model_copy(update={"split_generation": told})})
    return replace(world, resource=resource)


def with_answers(world: World, *found: Series) -> World:
    return replace(world, seen=replace(world.seen, series={REQUESTS: found}))


def answered(seconds: float, revision: str, bad: int, good: int) -> tuple[Series, ...]:
    at = (BEGUN + timedelta(seconds=seconds)).timestamp()
    return tuple(
        Series({"pod": "r", "assay_revision": revision, "envoy_response_code_class": code}, ((at, float(value)),))
        for code, value in (("2", good), ("5", bad))
    )


def test_samples_count_from_the_moment_on_at_which_all_routers_have_the_split_and_no_earlier() -> None:
    known = a_world(candidate={"count_time": EARLIER})

    assert counting_since(known) == EARLIER
    assert counting_since(a_world(candidate={"count_time": None})) == moment(NOW)
    assert counting_since(at_generation(known, 99)) == moment(NOW)


@pytest.mark.parametrize(
    "world",
    [
        lambda: replace(a_world(candidate={"count_time": EARLIER}), acked_time=None),
        lambda: replace(a_world(candidate={"count_time": EARLIER}), split=None),
        lambda: a_world(candidate={"count_time": EARLIER}, weight=0),
        lambda: a_world(candidate={"count_time": EARLIER}, stable_ready=0),
    ],
)
def test_nothing_counts_while_routers_disagree_the_candidate_has_no_weight_or_stable_no_pod(world: Any) -> None:
    assert counting_since(world()) is None


def floor(first: float | None = None, *, ahead: float = 0.0, warmup: int = 60, **candidate: Any) -> tuple[float, str]:
    """From which second after the beginning samples count, and what is said until then."""
    told = None if first is None else moment(BEGUN + timedelta(seconds=first))
    begun = {"count_time": EARLIER, "first_request_time": told, **candidate}
    world = a_world(candidate=begun, analysis__warmupSeconds=warmup)
    world = with_answers(world, *answered(100 + ahead, serving()[3], 1, 9))
    found = looking._trial(world, candidate_of(world.status), arms())
    return -1.0 if found.floor is None else found.floor - BEGUN.timestamp(), found.waiting


def test_warm_up_counts_from_the_first_request_and_never_ends_before_counting_begins() -> None:
    until = moment(BEGUN + timedelta(seconds=110))

    assert floor() == (40.0, "Nothing is counted before every router has the weight.")
    assert floor(50) == (110.0, f"The candidate is warming up until {until}.")
    assert floor(50, warmup=0)[0] == floor(-100)[0] == 40.0
    assert floor(50, count_time=None)[0] == -1.0


def test_a_clock_that_is_ahead_is_waited_for_and_one_that_is_behind_is_not() -> None:
    assert floor(ahead=30.0)[0] == 70.0
    assert floor(ahead=-30.0)[0] == 40.0


def test_the_age_of_the_newest_sample_is_told_of_all_answers() -> None:
    _, _, stable, revision = serving()
    world = with_answers(a_world(), *answered(70, revision, 1, 9), *answered(80, stable, 1, 9), Series({}, ()))

    assert looking._lag(world) == 20.0
    assert looking._lag(a_world()) == 0.0
    other = replace(world.seen, series={**world.seen.series, Query("other"): Missing("Away.")})
    assert looking._lag(replace(world, seen=other)) == 20.0


def test_without_an_answer_to_every_query_nothing_is_looked_at() -> None:
    world = a_world(candidate={"count_time": EARLIER}, checks=(a_check(Verdict.PASS),))

    assert looking.looked(world) == world.status


def test_a_look_counts_the_requests_of_the_check_that_has_counted_most_and_tells_the_worst_verdict() -> None:
    _, _, stable, revision = serving()
    written = [ERRORS, {**ERRORS, "name": "watched", "required": False}]
    settings: dict[str, Any] = {"analysis__checks": written, "analysis__warmupSeconds": 0, "analysis__dispersion": "1"}
    first = with_answers(
        a_world(50, candidate={"count_time": EARLIER, "requests": 7}, **settings),
        *answered(49, revision, 0, 10),
        *answered(49, stable, 0, 100),
    )
    known = looking.looked(first)
    second = with_answers(
        a_world(candidate=candidate_of(known).model_dump(), checks=tuple(known.checks), **settings),
        *answered(99, revision, 30, 280),
        *answered(99, stable, 3, 3097),
    )

    after = looking.looked(second)

    assert [one.requests for one in known.checks] == [0, 0]
    assert [one.requests for one in after.checks] == [300, 300]
    candidate = candidate_of(after)
    assert (candidate.requests, candidate.step_requests) == (307, 800)
    assert (candidate.look_time, candidate.first_request_time) == (moment(NOW), moment(BEGUN + timedelta(seconds=50)))
    assert (known.verdict, after.verdict) == (Verdict.UNDECIDED, Verdict.FAIL)


def test_of_two_checks_the_one_that_counted_more_says_how_many_requests_there_were_and_both_must_be_answered() -> None:
    _, _, stable, revision = serving()
    accuracy = {"name": "accuracy", "preset": "accuracy", "labelDelaySeconds": 60}
    settings: dict[str, Any] = {"analysis__checks": [ERRORS, accuracy], "analysis__warmupSeconds": 0}
    settings["analysis__dispersion"] = "1"
    counted = {"totals": [200, 2, 2000, 20], "dispersion": 1.0, "odds": [1.1, 1.5], "requests": 200}
    outcomes = Query("assay_outcomes_total", (("age_seconds", "60"),))

    def looked(seconds: float, checks: tuple[CheckStatus, ...], answer: Any, bad: int, good: int) -> Any:
        world = a_world(seconds, candidate={"count_time": EARLIER, "requests": 200}, checks=checks, **settings)
        world = with_answers(
            world, *answered(seconds - 1, revision, bad, good), *answered(seconds - 1, stable, bad, 9 * good)
        )
        return looking.looked(replace(world, seen=replace(world.seen, series={**world.seen.series, **answer})))

    begun = looked(50, (), {outcomes: Missing("Away.")}, 1, 10)
    known = [one.model_copy(update=counted if one.name == "errors" else {}) for one in begun.checks]
    after = looked(100, tuple(known), {outcomes: Missing("Away.")}, 2, 110)

    assert [one.requests for one in after.checks] == [301, 0]
    assert candidate_of(after).requests == 301
    assert looked(100, tuple(known), {}, 2, 110).checks == known


def test_the_first_request_is_looked_for_only_while_samples_count_and_kept_once_it_is_known() -> None:
    _, _, stable, revision = serving()

    def first(seconds: float = 90, **candidate: Any) -> str | None:
        world = a_world(candidate={"count_time": EARLIER, "first_request_time": None, **candidate})
        found = (*answered(seconds, revision, 0, 10), *answered(seconds, stable, 0, 100))
        return candidate_of(looking.looked(with_answers(world, *found))).first_request_time

    assert first() == moment(NOW)
    assert first(30) is None
    assert first(first_request_time=EARLIER) == EARLIER
    assert first(count_time=None) is None
    silent = replace(a_world(candidate={"first_request_time": None}), acked_time=None)
    found = answered(90, revision, 0, 10)
    assert candidate_of(looking.looked(with_answers(silent, *found))).first_request_time is None


def test_a_check_that_is_not_required_has_no_say_in_the_verdict() -> None:
    written = [ERRORS, {**ERRORS, "name": "watched", "required": False}]
    checks: tuple[CheckStatus, ...] = ()
    world = with_answers(a_world(checks=checks, candidate={"count_time": EARLIER}, analysis__checks=written))

    assert looking.looked(world).verdict is Verdict.UNDECIDED
