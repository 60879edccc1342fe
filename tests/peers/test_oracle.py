"""The least possible number of looks, against a linear programme over all rules of a small design."""

import math

import numpy as np
import pytest
from scipy.optimize import linprog

from peers import oracle
from peers.streams import Floats, Streams


def test_information_per_request_gives_the_known_sample_sizes() -> None:
    sizes = [math.log(20) / oracle.divergence(truth, 0.01) for truth in (0.015, 0.02, 0.05)]

    assert sizes == pytest.approx([2736.768, 765.463, 72.552], abs=1e-3)


def test_walds_lines_are_those_of_gsdesign() -> None:
    lines = oracle.sprt_lines(0.25, 0.05, 0.1, 0.15)

    assert lines == pytest.approx((0.1280666, 1.1594080, -0.9707084), abs=5e-8)


@pytest.mark.parametrize(
    ("alpha", "truth", "looks"),
    [(0.05, 0.015, 9.50), (0.05, 0.02, 2.93), (0.05, 0.05, 1.01), (0.01, 0.015, 14.33), (0.01, 0.02, 4.41)],
)
def test_the_least_looks_are_those_that_were_computed_elsewhere(alpha: float, truth: float, looks: float) -> None:
    """The other computation allowed no coins, so it lies above by less than a look's discreteness."""
    found = oracle.least_looks(alpha, 60, 300, 0.01, truth)

    assert 0.97 * looks <= found <= looks + 0.015


def every_rule(alpha: float, looks: int, requests: int, null: float, truth: float) -> float:
    """The same by brute force: a variable for each state, saying how much of the mass in it stops."""
    step = np.array([math.comb(requests, x) * truth**x * (1 - truth) ** (requests - x) for x in range(requests + 1)])
    states = [(k, x) for k in range(1, looks) for x in range(k * requests + 1)]
    place = {state: number for number, state in enumerate(states)}
    size = len(states)
    arriving: dict[tuple[int, int], Floats] = {}
    constant: dict[tuple[int, int], float] = {}
    for k, x in states:
        row, base = np.zeros(size), 0.0
        for more, chance in enumerate(step):
            before = (k - 1, x - more)
            if k == 1:
                base = float(step[x])
            elif before in place:
                going_on = arriving[before].copy()
                going_on[place[before]] -= 1
                row += chance * going_on
                base += chance * constant[before]
        arriving[k, x], constant[k, x] = row, base
    cost, fixed = np.zeros(size), 1.0
    for state in states:
        cost += arriving[state]
        cost[place[state]] -= 1
        fixed += constant[state]
    limits = [*(constant[state] for state in states), alpha]
    rows = [-arriving[state] + np.eye(size)[place[state]] for state in states]
    ratio = [math.exp(-float(oracle.log_ratio(np.array(x), k * requests, truth, null))) for k, x in states]
    found = linprog(cost, A_ub=np.array([*rows, ratio]), b_ub=np.array(limits), bounds=(0, None))
    return fixed + float(found.fun)


@pytest.mark.parametrize(
    ("alpha", "looks", "requests", "null", "truth"),
    [(0.1, 3, 4, 0.2, 0.6), (0.02, 4, 3, 0.3, 0.7), (0.3, 5, 2, 0.1, 0.3), (0.05, 2, 6, 0.05, 0.5)],
)
def test_no_rule_at_all_is_faster(alpha: float, looks: int, requests: int, null: float, truth: float) -> None:
    found = oracle.least_looks(alpha, looks, requests, null, truth)

    assert found == pytest.approx(every_rule(alpha, looks, requests, null, truth), abs=1e-6)


def test_more_patience_and_a_smaller_difference_cost_looks() -> None:
    assert oracle.least_looks(0.01, 60, 300, 0.01, 0.02) > oracle.least_looks(0.05, 60, 300, 0.01, 0.02)
    assert oracle.least_looks(0.05, 60, 300, 0.01, 0.015) > oracle.least_looks(0.05, 60, 300, 0.01, 0.02)
    assert oracle.least_looks(0.05, 60, 300, 0.01, 0.01001) == pytest.approx(60 * 0.95, rel=0.02)


def test_walds_test_keeps_its_promise_and_is_slower_than_the_least() -> None:
    dice, shape = np.random.default_rng(7), (2000, 60)
    looks = {}
    for truth in (0.01, 0.02):
        bad = dice.binomial(300, truth, shape)
        ended = oracle.sprt(Streams(np.full(shape, 300), bad, bad, bad), 0.05, 0.01, 0.02)
        looks[truth] = ended
    mean = np.where(looks[0.02] == 0, 60, looks[0.02]).mean()

    assert (looks[0.01] > 0).mean() <= 0.05
    assert oracle.least_looks(0.05, 60, 300, 0.01, 0.02) < mean < 3.9
