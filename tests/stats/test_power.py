"""How many requests a verdict takes is foretold to a third, and nothing is promised that the null forbids."""

import math

import numpy as np
import pytest

from assay.stats import power
from assay.stats.proportion import Look, Rule, above, below, harm, reached, safety, start, update

SCENES = {  # rule, candidate's rate, stable's rate, candidate's and stable's requests per look
    "safe by half": (safety(0.05, 1.5), 0.01, 0.01, 300, 2700),
    "safe at half of the traffic": (safety(0.05, 1.5), 0.01, 0.01, 500, 500),
    "safe by the double": (safety(0.05, 2.0), 0.01, 0.01, 100, 900),
    "half as bad again": (harm(0.05, 1.0), 0.015, 0.01, 300, 2700),
    "twice as bad": (harm(0.01, 1.1), 0.02, 0.01, 100, 900),
    "three times as bad": (harm(0.01, 1.1), 0.3, 0.1, 10, 90),
    "beyond a limit": (above(0.01, 0.01), 0.02, 0.01, 100, 900),
    "within a limit": (below(0.05, 0.01), 0.002, 0.01, 50, 450),
    "never bad": (below(0.05, 0.001), 0.0, 0.01, 100, 450),
}


def simulated(rule: Rule, candidate: float, stable: float, size: int, other: int) -> list[int]:
    """Requests until the rule was reached, of many rollouts."""
    random = np.random.default_rng(11)
    needed = []
    for _ in range(150):
        evidence, looks = start(rule), 0
        while not reached(rule, evidence):
            bad, other_bad = int(random.binomial(size, candidate)), int(random.binomial(other, stable))
            evidence, looks = update(rule, evidence, Look(size, bad, other, other_bad)), looks + 1
        needed.append(looks * size)
    return needed


@pytest.mark.parametrize("scene", SCENES)
def test_the_mean_is_foretold_to_a_third_and_nine_of_ten_need_at_most_twice_as_much(scene: str) -> None:
    rule, candidate, stable, size, other = SCENES[scene]

    found = simulated(rule, candidate, stable, size, other)
    foretold = power.requests(rule, candidate, stable, size / (size + other))

    assert 0.67 < np.mean(found) / foretold < 1.33
    assert np.quantile(found, 0.9) < 2.1 * foretold


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.5, 1.0])
def test_what_the_null_allows_is_never_refuted(rate: float) -> None:
    assert math.isinf(power.requests(harm(0.01, 1.1), rate, rate, 0.1))
    assert math.isinf(power.requests(above(0.01, 0.5), min(rate, 0.5), 0.5, 0.1))
    worse = 1.5 * rate / (1 - rate + 1.5 * rate)
    assert math.isinf(power.requests(safety(0.05, 1.5), worse, rate, 0.1))


def test_where_most_requests_are_bad_it_is_odds_that_are_compared() -> None:
    assert power.drift(harm(0.01, 1.1), 0.5, 0.45, 0.1) > 0 == power.drift(harm(0.01, 1.1), 0.47, 0.45, 0.1)
    assert power.drift(safety(0.05, 1.5), 0.54, 0.45, 0.1) > 0 == power.drift(safety(0.05, 1.5), 0.56, 0.45, 0.1)
    swapped = power.drift(harm(0.01, 1.0), 0.1, 0.2, 0.5)
    assert power.drift(harm(0.01, 1.0), 0.9, 0.8, 0.5) > 0 == swapped


@pytest.mark.parametrize("rule", [harm(0.01, 1.1), safety(0.05, 1.5)])
@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_beside_a_stable_revision_that_always_fails_nothing_can_be_told(rule: Rule, rate: float) -> None:
    assert power.drift(rule, rate, 1.0, 0.1) == 0.0
    assert power.requests(rule, rate, 1.0, 0.1) == math.inf


def test_a_candidate_that_fails_beside_a_stable_one_that_never_does_is_found() -> None:
    assert power.requests(harm(0.01, 1.1), 0.01, 0.0, 0.1) < 1000
    assert power.requests(safety(0.05, 1.5), 0.0, 0.0, 0.1) == math.inf


def test_the_least_that_is_found_within_a_budget_needs_just_that_budget() -> None:
    rule, budget = harm(0.01, 1.1), 5000.0

    least = power.detectable(rule, 0.01, 0.1, budget)

    assert least is not None
    assert power.requests(rule, least, 0.01, 0.1) == pytest.approx(budget, rel=1e-3)
    assert power.requests(rule, least * 1.1, 0.01, 0.1) < budget
    assert power.detectable(rule, 0.01, 0.1, 1.0) is None
    beside_none = power.detectable(rule, 0.0, 0.1, budget)
    assert beside_none is not None
    assert 0 < beside_none < least


def test_dispersion_costs_as_many_times_more() -> None:
    rule = safety(0.05, 1.5)

    assert power.requests(rule, 0.01, 0.01, 0.1, 3.0) == pytest.approx(3 * power.requests(rule, 0.01, 0.01, 0.1))


def test_more_weight_and_more_difference_need_fewer_requests_of_all() -> None:
    rule = harm(0.01, 1.1)
    of_all = [power.requests(rule, 0.02, 0.01, share) / share for share in (0.01, 0.05, 0.25, 0.5)]
    by_rate = [power.requests(rule, rate, 0.01, 0.1) for rate in (0.012, 0.015, 0.02, 0.05, 0.5, 1.0)]

    assert of_all == sorted(of_all, reverse=True)
    assert by_rate == sorted(by_rate, reverse=True)


@pytest.mark.parametrize("budget", [1e12, 1e15])
def test_with_endless_traffic_any_harm_is_found(budget: float) -> None:
    least = power.detectable(harm(0.01, 1.1), 0.0, 0.1, budget)

    assert least is not None
    assert 0 < least < 1e-6
