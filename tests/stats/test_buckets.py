import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats.buckets import (
    Histogram,
    check_bounds,
    graded,
    native_bounds,
    native_counts,
    native_index,
    nearest_bound,
    slow,
    slowed,
)
from assay.stats.counts import Look
from assay.stats.severity import Graded

LOOK = Histogram((0.1, 0.25, 0.5, math.inf), (60, 30, 8, 2), (700, 200, 60, 40))


def test_slow_requests_are_those_beyond_the_bound() -> None:
    assert slow(LOOK, 0.25) == Look(100, 10, 1000, 100)
    assert slow(LOOK, 0.5) == Look(100, 2, 1000, 40)


def test_worse_are_those_beyond_the_first_bound_that_is_twice_as_high() -> None:
    assert graded(LOOK, 0.1) == Graded(100, 40, 1000, 300, 10, 100), "0.25 is the first beyond 0.2"
    assert graded(LOOK, 0.25) == Graded(100, 10, 1000, 100, 2, 40), "0.5 is just twice as high"
    assert graded(LOOK, 0.5) == Graded(100, 2, 1000, 40, 0, 0), "there is no bound beyond"


def test_a_bound_that_misses_twice_another_by_rounding_is_twice_as_high() -> None:
    look = Histogram((0.1, 0.2 * (1 - 1e-12), math.inf), (1, 2, 3), (4, 5, 6))

    assert graded(look, 0.1) == Graded(6, 5, 15, 11, 3, 6)


def test_the_bound_is_the_one_nearest_the_quantile_of_both_sides_together() -> None:
    assert nearest_bound(LOOK, 0.95) == 0.5  # at most so slow: .691, .9, .962
    assert nearest_bound(LOOK, 0.92) == 0.25
    assert nearest_bound(LOOK, 0.01) == 0.1
    assert nearest_bound(LOOK, 0.999) == 0.5


def test_the_bound_does_not_depend_on_how_requests_fell_to_the_sides() -> None:
    turned = Histogram(LOOK.bounds, LOOK.stable, LOOK.candidate)
    mixed = Histogram(LOOK.bounds, (0, 230, 0, 42), (760, 0, 68, 0))
    assert nearest_bound(turned, 0.92) == nearest_bound(mixed, 0.92) == nearest_bound(LOOK, 0.92)


def test_a_stable_revision_slowed_by_two_buckets_is_one_whose_requests_take_four_times_as_long() -> None:
    bounds = (1.0, 2.0, 4.0, 8.0, 16.0, math.inf)
    requests = [0.5, 1.5, 1.5, 3.0, 6.0, 12.0, 12.0, 20.0]

    def counts(times: list[float]) -> tuple[int, ...]:
        return tuple(sum(low < each <= high for each in times) for low, high in itertools.pairwise((0.0, *bounds)))

    seen = slowed(Histogram(bounds, counts(requests), counts(requests)), 4.0)
    assert seen == Histogram(bounds, (0, 0, 4, 1, 2, 1), (0, 0, 1, 2, 1, 4))
    equal = slowed(Histogram(bounds, counts([4 * each for each in requests]), counts(requests)), 4.0)
    assert equal.candidate == equal.stable


@given(
    st.lists(st.floats(0.001, 10), min_size=1, max_size=8, unique=True).map(sorted),
    st.lists(st.floats(0.0005, 20), min_size=1, max_size=30),
    st.floats(1, 5),
)
def test_a_candidate_that_is_slower_by_just_the_factor_never_looks_slower_whatever_the_bounds(
    ends: list[float], requests: list[float], factor: float
) -> None:
    bounds = (*ends, math.inf)

    def counts(times: list[float]) -> tuple[int, ...]:
        return tuple(sum(low < each <= high for each in times) for low, high in itertools.pairwise((0.0, *bounds)))

    seen = slowed(Histogram(bounds, counts([each * factor for each in requests]), counts(requests)), factor)
    quick = zip(itertools.accumulate(seen.candidate), itertools.accumulate(seen.stable), strict=True)
    assert all(candidate >= stable for candidate, stable in quick)
    assert sum(seen.candidate) == sum(seen.stable) == len(requests)


def test_slowed_by_nothing_is_the_same() -> None:
    assert slowed(Histogram((0.1, math.inf), (1, 2), (3, 4)), 1.0) == Histogram((0.1, math.inf), (1, 2), (3, 4))


@given(st.integers(-4, 8), st.integers(-200, 100), st.integers(0, 60))
def test_a_native_bucket_holds_its_own_bound_and_nothing_beyond(schema: int, first: int, more: int) -> None:
    if not -1000 < first * 2.0**-schema <= (first + more) * 2.0**-schema < 1000:
        return  # no latency is so short or so long that a float cannot hold it
    bounds = native_bounds(schema, first, first + more)
    assert bounds[-1] == math.inf
    for index, bound in enumerate(bounds[:-1], first):
        assert native_index(schema, bound) == index
        assert native_index(schema, bound * 1.0001) == index + 1
        assert native_index(schema, bound * 0.9999) == index


def test_native_bounds_are_those_of_the_specification() -> None:
    assert native_bounds(0, -2, 2) == (0.25, 0.5, 1.0, 2.0, 4.0, math.inf)
    assert native_bounds(3, 0, 8)[1] == pytest.approx(1.0905, abs=5e-5)
    assert native_bounds(-1, -1, 1) == (0.25, 1.0, 4.0, math.inf)


def test_the_finest_and_the_coarsest_schema_and_a_single_bucket_are_allowed() -> None:
    assert native_bounds(8, 1, 1) == (2 ** (1 / 256), math.inf)
    assert native_bounds(-4, 1, 1) == (65536.0, math.inf)


def test_a_state_that_knows_no_bounds_takes_any_and_one_that_does_only_its_own() -> None:
    check_bounds((), LOOK)
    check_bounds((0.1, 0.25, 0.5), LOOK)
    for other in ((0.1, 0.25), (0.1, 0.25, 0.6), (0.1, 0.25, 0.5, math.inf)):
        with pytest.raises(ValueError, match="cannot be compared"):
            check_bounds(other, LOOK)


def test_the_bound_is_that_of_the_sums_even_where_the_first_or_all_buckets_below_are_empty() -> None:
    bounds = (0.1, 0.2, 0.5, math.inf)
    assert nearest_bound(Histogram(bounds, (90, 0, 0, 10), (0, 90, 0, 10)), 0.5) == 0.1
    assert nearest_bound(Histogram(bounds, (0, 0, 5, 5), (0, 0, 0, 0)), 0.95) == 0.5
    assert nearest_bound(Histogram(bounds, (0, 0, 0, 5), (0, 0, 0, 0)), 0.95) == 0.1


def test_a_bound_that_a_factor_misses_by_a_rounding_error_is_reached() -> None:
    assert slowed(Histogram((0.1, 0.2, math.inf), (1, 2, 3), (4, 5, 6)), 2.0).stable == (0, 4, 11)
    fine = tuple(1.0027**power for power in range(5))
    assert slowed(Histogram((*fine, math.inf), (1,) * 6, (1,) * 6), 1.0027).stable == (0, 1, 1, 1, 1, 2)
    assert slowed(Histogram((*fine, math.inf), (1,) * 6, (1,) * 6), 1.00271).stable == (0, 0, 1, 1, 1, 3)


def test_a_single_request_chooses_a_bound() -> None:
    assert nearest_bound(Histogram((0.1, 0.2, math.inf), (1, 0, 0), (0, 0, 0)), 0.95) == 0.1


def test_native_counts_lose_nothing_at_the_ends() -> None:
    assert native_counts({-9: 1, -3: 2, -2: 4, 0: 8, 1: 16, 7: 32}, -3, 0) == (3, 4, 0, 8, 48)
    assert len(native_counts({}, -3, 0)) == len(native_bounds(0, -3, 0))


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Histogram((0.1, 0.2), (1, 2), (1, 2)), "the last must be infinity"),
        (lambda: Histogram((), (), ()), "the last must be infinity"),
        (lambda: Histogram((0.2, 0.1, math.inf), (1, 2, 3), (1, 2, 3)), "must be positive and increase"),
        (lambda: Histogram((0.0, math.inf), (1, 2), (1, 2)), "must be positive and increase"),
        (lambda: Histogram((math.nan, math.inf), (1, 2), (1, 2)), "must be positive and increase"),
        (lambda: Histogram((0.1, math.inf), (1, 2, 3), (1, 2)), "candidate has 3 buckets, but there are 2 bounds"),
        (lambda: Histogram((0.1, math.inf), (1, 2), (1, -2)), "stable has a bucket of -2"),
        (lambda: slow(LOOK, 0.2), "0.2 seconds is not a bound of the histogram; the nearest are 0.1 and 0.25"),
        (lambda: slow(LOOK, 0.4), "0.4 seconds is not a bound of the histogram; the nearest are 0.25 and 0.5$"),
        (lambda: slow(LOOK, math.inf), "is not a bound"),
        (lambda: slowed(LOOK, 0.9), "factor is 0.9: must be at least 1"),
        (lambda: slowed(LOOK, math.nan), "factor is nan: must be at least 1"),
        (lambda: nearest_bound(Histogram((math.inf,), (1,), (1,)), 0.9), "no bound can be chosen"),
        (lambda: nearest_bound(Histogram((0.1, math.inf), (0, 0), (0, 0)), 0.9), "no bound can be chosen"),
        (lambda: native_bounds(9, 0, 1), "schema is 9"),
        (lambda: native_bounds(-5, 0, 1), "schema is -5"),
        (lambda: native_bounds(3, 2, 1), "first is 2: must be at most last"),
        (lambda: native_counts({0: 1}, 0, 1, zero=3), "3 requests took no time"),
        (lambda: native_counts({0: 1}, 0, 1, negative=2), "2 less than none"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(build: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build()
