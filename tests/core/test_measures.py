"""Which counters a check reads, and what they are taken for."""

from typing import Any

import pytest

from assay.api.checks import Check
from assay.core import measures
from assay.core.decision import Missing, Query, Series
from assay.core.measures import Found
from assay.core.scrapes import Arms, Events

ARMS = Arms("aaaaaaaa", "bbbbbbbb")
REQUESTS = Query("envoy_cluster_upstream_rq_xx", (("assay_via", "split"),))
AGED = Query("assay_outcomes_total", (("age_seconds", "60"),))
BEFORE = Query(REQUESTS.metric, REQUESTS.match, history=True)


def a_check(**changes: Any) -> Check:
    return Check.model_validate({"name": "errors", "preset": "error-ratio", **changes})


def accuracy() -> Check:
    return a_check(name="accuracy", preset="accuracy", labelDelaySeconds=60)


def own() -> Check:
    bad = {"metric": "wrong_total", "match": {"b": "2", "a": "1"}}
    return Check.model_validate({"name": "own", "proportion": {"bad": bad, "total": {"metric": "all_total"}}})


def a_series(revision: str, *samples: tuple[float, float], pod: str = "p", **labels: str) -> Series:
    return Series({"pod": pod, "assay_revision": revision, **labels}, samples)


def codes(at: float, revision: str = ARMS.candidate) -> tuple[Series, ...]:
    good, bad = (
        a_series(revision, (at, value), envoy_response_code_class=code) for value, code in ((9.0, "2"), (1.0, "5"))
    )
    return good, bad


def test_each_kind_of_check_asks_for_its_own_counters_and_history_for_the_same_ones() -> None:
    assert measures.queries([a_check(), accuracy(), a_check(name="again")]) == (REQUESTS, AGED)
    assert measures.queries([a_check()], history=True) == (BEFORE,)
    assert measures.queries([own()]) == (Query("wrong_total", (("a", "1"), ("b", "2"))), Query("all_total"))


def test_of_requests_the_fifth_class_is_bad_and_all_are_all() -> None:
    good, bad = codes(10)

    assert measures.events(a_check(), {REQUESTS: (good, bad)}) == Events.proportion((bad,), (good, bad))


def test_of_outcomes_wrong_is_bad_and_what_has_no_label_is_no_part_of_all() -> None:
    wrong, correct, without, strange = (
        a_series(ARMS.candidate, (10, 1.0), outcome=one) for one in ("wrong", "correct", "unlabelled", "other")
    )

    assert measures.events(accuracy(), {AGED: (correct, strange, without, wrong)}) == Events.proportion(
        (wrong,), (wrong, correct), (without,)
    )


def test_a_proportion_reads_what_it_names_in_this_order() -> None:
    first, second = measures.queries([own()])
    bad, every = a_series(ARMS.candidate, (10, 1.0)), a_series(ARMS.candidate, (10, 5.0))

    assert measures.events(own(), {second: (every,), first: (bad,)}) == Events.proportion((bad,), (every,))
    assert measures.events(own(), {first: (bad,), second: Missing("Away.")}) == Missing("Away.")
    assert measures.events(own(), {first: Missing("Away."), second: (every,)}) == Missing("Away.")
    assert isinstance(measures.events(own(), {first: (bad,)}), Missing)


def test_the_newest_samples_and_those_of_an_hour_are_not_taken_for_each_other() -> None:
    newest, hour = codes(10), codes(5)
    found: Found = {REQUESTS: newest, BEFORE: hour}

    assert measures.events(a_check(), found) == Events.proportion((newest[1],), newest)
    assert measures.events(a_check(), found, history=True) == Events.proportion((hour[1],), hour)


def test_where_nothing_is_told_of_either_revision_the_query_is_named() -> None:
    told = 'Prometheus has no series of envoy_cluster_upstream_rq_xx{assay_via="split"} for either revision'

    for answer in ((), codes(10, "cccccccc")):
        assert measures.read(a_check(), {REQUESTS: answer}, ARMS) == Missing(told)
    assert measures.read(a_check(), {REQUESTS: Missing("Away.")}, ARMS) == Missing("Away.")
    assert not isinstance(measures.read(a_check(), {REQUESTS: codes(10)}, ARMS), Missing)


def test_an_hour_that_makes_no_sense_is_empty_and_one_that_cannot_be_read_is_missing() -> None:
    bad_alone = a_series(ARMS.stable, (10, 9.0), envoy_response_code_class="5")
    more_bad = measures.queries([own()], history=True)

    assert measures.read_before(a_check(), {BEFORE: ()}, ARMS) == {}
    assert measures.read_before(a_check(), {BEFORE: Missing("Away.")}, ARMS) == Missing("Away.")
    assert measures.read_before(own(), dict(zip(more_bad, ((bad_alone,), ()), strict=True)), ARMS) == {}
    read = measures.read_before(a_check(), {BEFORE: codes(10, ARMS.stable)}, ARMS)
    assert [one.stable for one in dict(read)["p", ""]] == [(1, 10, 0)] if not isinstance(read, Missing) else False


def first_request(found: Found, *found_by: Check, since: float = 5.0, now: float = 100.0) -> float | None:
    return measures.first_request(found_by or [a_check()], found, ARMS, since, now)


def test_the_first_request_was_made_by_now_where_a_newer_scrape_shows_one() -> None:
    assert first_request({REQUESTS: codes(10)}) == 100.0
    assert first_request({REQUESTS: codes(5)}) is None
    assert first_request({REQUESTS: codes(5)}, since=4.0) == 100.0
    assert first_request({REQUESTS: codes(10, ARMS.stable)}) is None
    assert first_request({REQUESTS: Missing("Away.")}) is None


def test_of_a_target_only_the_newest_scrape_tells_and_any_target_will_do() -> None:
    scraped = a_series(ARMS.candidate, (4, 7.0), pod="a", envoy_response_code_class="2")
    newer = a_series(ARMS.stable, (10, 7.0), pod="a", envoy_response_code_class="2")
    other = a_series(ARMS.candidate, (11, 7.0), pod="b", envoy_response_code_class="2")

    assert first_request({REQUESTS: (scraped, newer)}) is None
    assert first_request({REQUESTS: (scraped, newer, other)}) == 100.0


@pytest.mark.parametrize(("now", "moment"), [(100.0, 40.0), (62.0, 5.0)])
def test_a_prediction_that_came_of_age_was_made_so_long_ago_but_not_before_anything_counts(
    now: float, moment: float
) -> None:
    aged = (a_series(ARMS.candidate, (50, 1.0), outcome="unlabelled"),)

    assert first_request({AGED: aged}, accuracy(), now=now) == moment
    assert first_request({AGED: aged, REQUESTS: codes(10)}, a_check(), accuracy(), now=now) == moment
    assert first_request({AGED: aged, REQUESTS: Missing("Away.")}, a_check(), accuracy(), now=now) == moment


def test_slow_and_all_belong_to_the_same_pod_and_revision() -> None:
    check = Check.model_validate({"name": "latency", "preset": "latency", "slowerThanSeconds": "0.25"})
    (query,) = measures.queries([check])

    def bucket(pod: str, le: str, *samples: tuple[float, float]) -> Series:
        return a_series(ARMS.candidate, *samples, pod=pod, le=le)

    quick = bucket("a", "270", (0, 4.0), (10, 6.0)), bucket("b", "270.0", (0, 1.0))
    every = bucket("a", "+Inf", (0, 10.0), (10, 13.0)), bucket("b", "+Inf", (0, 3.0), (20, 9.0))
    found = measures.events(check, {query: (*every, *quick)})

    assert not isinstance(found, Missing)
    assert [one.samples for one in found.series[0]] == [((0, 6.0), (10, 7.0)), ((0, 2.0),)]
    assert [one.samples for one in found.series[1]] == [((0, 10.0), (10, 13.0)), ((0, 3.0),)]
    assert [one.labels["pod"] for one in found.series[1]] == ["a", "b"]
