"""A factor of 1 where requests are independent, and the size of the clusters where they are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats.counts import Look
from assay.stats.dispersion import ASSUMED, CAUTION, Pair, dispersion, effective, factor
from assay.stats.proportion import harm, reached, start, update

PODS, STRATA = 3, 120


def history(rng: np.random.Generator, *, cluster: float, rates: np.ndarray, total: int = 900) -> list[list[Pair]]:
    """Pods of one revision over many half minutes; bad answers come in clusters that stay on one pod."""
    strata = []
    for rate in rates:
        clusters = rng.poisson(total * rate / cluster, PODS)
        bad = [
            int(min((1 + rng.poisson(cluster - 1, count)).sum() if cluster > 1 else count, total)) for count in clusters
        ]
        strata.append([(one, total) for one in bad])
    return strata


def test_independent_requests_need_no_factor_at_any_rate() -> None:
    rng = np.random.default_rng(1)
    for rate in (0.001, 0.01, 0.2):
        strata = [[(int(rng.binomial(900, rate)), 900) for _ in range(PODS)] for _ in range(STRATA)]
        assert factor(dispersion(strata)) == 1.0


def test_what_strikes_all_pods_at_once_is_not_taken_for_clusters() -> None:
    rng = np.random.default_rng(2)
    rates = np.where(rng.random(STRATA) < 0.2, 0.2, 0.01)
    strata = [[(int(rng.binomial(900, rate)), 900) for _ in range(PODS)] for rate in rates]

    assert factor(dispersion(strata)) == 1.0


@pytest.mark.parametrize("size", [3.0, 6.0])
def test_clusters_are_found_in_their_size(size: float) -> None:
    rng = np.random.default_rng(3)

    found = dispersion(history(rng, cluster=size, rates=np.full(STRATA, 0.02)))

    # A sum of Poisson many clusters of size 1 + Poisson(size - 1) varies E[size squared] / E[size] times as much.
    expected = ((size - 1) + size**2) / size
    assert found == pytest.approx(expected, rel=0.35)
    assert factor(found) == CAUTION * (found or 0)


def test_with_the_factor_clustered_errors_do_not_roll_a_healthy_candidate_back_and_without_it_they_do() -> None:
    rng = np.random.default_rng(4)
    divisor = factor(dispersion(history(rng, cluster=4.0, rates=np.full(STRATA, 0.02))))

    def false_rollbacks(by: float) -> float:
        rule, wrong, runs = harm(0.05, 1.0), 0, 200
        for _ in range(runs):
            state, before = start(rule), ((0, 0), (0, 0))
            sums = [[0, 0], [0, 0]]
            for _ in range(40):
                for side, total in ((0, 300), (1, 2700)):
                    clusters = rng.poisson(total * 0.02 / 4.0)
                    sums[side][0] += int((1 + rng.poisson(3.0, clusters)).sum())
                    sums[side][1] += total
                after = (effective((sums[0][0], sums[0][1]), by), effective((sums[1][0], sums[1][1]), by))
                (x, n), (y, m) = (
                    tuple(a - b for a, b in zip(*pair, strict=True)) for pair in zip(after, before, strict=True)
                )
                state, before = update(rule, state, Look(n, x, m, y)), after
            wrong += reached(rule, state)
        return wrong / runs

    assert false_rollbacks(divisor) <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
    assert false_rollbacks(1.0) > 0.3


def test_the_factor_is_the_one_that_pencil_and_paper_give() -> None:
    """Of 20 requests 4 fail, all on one of two pods: 2 more than its share, where chance varies by 16/19 on each."""
    assert dispersion([[(4, 10), (0, 10)]] * 20) == pytest.approx(4 / (16 / 19))
    assert dispersion([[(1, 10), (0, 10)]] * 40) == pytest.approx(1.0)  # one bad request is always on one pod
    assert dispersion([[(5, 10), (1, 20), (0, 0)]] * 20) == pytest.approx(9 * 29 * 30**2 / (6 * 24 * 200))


def test_forty_bad_requests_and_twenty_comparisons_measure_and_one_less_of_either_does_not() -> None:
    enough = [[(2, 10), (0, 10)]] * 20

    assert dispersion(enough) is not None
    assert dispersion([*enough[1:], [(1, 10), (0, 10)]]) is None
    assert dispersion([[(9, 10), (0, 10)]] * 19) is None
    assert dispersion([[(9, 10), (0, 10), (1, 10)]] * 10) is not None


@pytest.mark.parametrize("silent", [(0, 0), (10, 10)])
def test_what_compares_nothing_is_neither_counted_as_bad_nor_as_a_comparison(silent: Pair) -> None:
    assert dispersion([*[[(1, 10), (0, 10)]] * 20, *[[(1, 10)]] * 40]) is None
    assert dispersion([*[[(3, 10), (0, 10)]] * 19, [(silent[0], 10), (silent[0], 10)]]) is None


def test_a_factor_up_to_a_fifth_more_is_chance_and_a_greater_one_is_raised_by_a_quarter() -> None:
    assert [factor(one) for one in (1.0, 1.2, 1.6, 20.0)] == [1.0, 1.0, 2.0, 25.0]
    assert factor(None) == 1.5


@pytest.mark.parametrize(
    "strata",
    [[], [[(5, 100)]] * 100, [[(0, 100), (0, 100)]] * 100, [[(1, 100), (1, 100)]] * 5, [[(0, 0), (9, 10)]] * 50],
)
def test_too_little_history_measures_nothing_and_caution_is_assumed(strata: list[list[Pair]]) -> None:
    assert dispersion(strata) is None
    assert factor(dispersion(strata)) == ASSUMED


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=30),
    st.floats(1.0, 30.0, allow_nan=False),
)
def test_effective_counts_never_fall_and_never_have_more_bad_than_all(grown: list[tuple[int, int]], by: float) -> None:
    bad = total = 0
    before = (0, 0)
    for more_bad, more_good in grown:
        bad, total = bad + more_bad, total + more_bad + more_good
        after = effective((bad, total), by)
        assert 0 <= after[0] - before[0] <= after[1] - before[1]
        assert after[1] <= total / by + 1
        before = after


def test_a_factor_of_one_changes_no_count() -> None:
    assert effective((7, 1000), 1.0) == (7, 1000)
