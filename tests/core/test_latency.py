"""The check `latency` counts answers that took longer than a bound of the router's histogram."""

from itertools import pairwise

import pytest

from assay.api.checks import Check
from assay.core import evidence, measures
from assay.core.decision import Missing, Series
from assay.core.names import LATENCY_BOUNDS_MS
from assay.core.scrapes import Arms

ARMS = Arms("11111111", "22222222")


def a_check(wanted: str = "0.25") -> Check:
    return Check(name="latency", preset="latency", slowerThanSeconds=wanted)


def a_series(revision: str, bound: str, *values: float, pod: str = "r") -> Series:
    labels = {"pod": pod, "assay_revision": revision, "assay_via": "split", "le": bound}
    return Series(labels, tuple((10.0 * at, value) for at, value in enumerate(values)))


@pytest.mark.parametrize(
    ("wanted", "bound"),
    [("0.25", 270), ("0.068", 68), ("0.07", 68), ("0.07464", 68), ("0.0747", 82), ("0.001", 1), ("3600", 3_600_000)],
)
def test_the_bound_nearest_to_what_is_wanted_is_taken(wanted: str, bound: int) -> None:
    assert measures.slow_bound(a_check(wanted)) == bound


def test_neighbouring_bounds_differ_by_a_quarter_at_most_where_people_care() -> None:
    fine = [bound for bound in LATENCY_BOUNDS_MS if 20 <= bound <= 60_000]

    assert max(after / before for before, after in pairwise(fine)) <= 1.26


def test_two_buckets_are_asked_for_in_the_words_of_both_generations_of_prometheus() -> None:
    (query,) = measures.queries([a_check()])

    assert query.metric == "envoy_cluster_upstream_rq_time_bucket"
    assert query.match == (("assay_via", "split"),)
    assert query.among == (("le", ("270", "270.0", "+Inf")),)


@pytest.mark.parametrize("bound", ["270", "270.0"])
def test_slow_is_what_came_after_the_bound(bound: str) -> None:
    check = a_check()
    (query,) = measures.queries([check])
    found = {
        query: (
            a_series(ARMS.stable, bound, 90, 180),
            a_series(ARMS.stable, "+Inf", 100, 200),
            a_series(ARMS.candidate, bound, 5, 10),
            a_series(ARMS.candidate, "+Inf", 10, 30),
        )
    }

    readings = measures.read(check, found, ARMS)

    assert not isinstance(readings, Missing)
    (target,) = readings.values()
    assert [one.stable for one in target] == [(10, 100, 0), (20, 200, 0)]
    assert [one.candidate for one in target] == [(5, 10, 0), (20, 30, 0)]
    counted = evidence.count([], readings, -1.0)
    assert (counted.look.candidate_total, counted.look.candidate_bad) == (20, 15)


def test_without_the_bucket_of_quick_answers_nothing_is_known_and_none_is_taken_for_quick() -> None:
    check = a_check()
    (query,) = measures.queries([check])
    only_all = a_series(ARMS.candidate, "+Inf", 10)
    once = Series({**only_all.labels, "le": "270"}, ((0.0, 4.0),))
    later = Series(only_all.labels, ((0.0, 10.0), (10.0, 20.0)))

    nothing = measures.read(check, {query: (a_series(ARMS.stable, "270", 90), only_all)}, ARMS)
    something = measures.read(check, {query: (once, later)}, ARMS)

    assert isinstance(nothing, Missing)
    assert nothing.reason == "pod r tells of all answers, but not of those up to the bound"
    assert not isinstance(something, Missing)
    ((reading,),) = something.values()
    assert (reading.time, reading.candidate) == (0.0, (6, 10, 0))
