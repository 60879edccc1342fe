"""How many values a verdict about means takes is foretold to a third, and nothing is promised that the null forbids."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.stats import means_power
from assay.stats.means import Evidence, Rule, Sums, added, harm, reached, safety, start, update
from assay.stats.moments import Arm, Look, Pairs, arm, look_at_ratios

RUNS = 200
SKEWED = math.sqrt(math.e - 1)
"""Variation of lognormal values of skewness 6."""
HEAVY = math.sqrt(math.exp(1.5**2) - 1)
"""Of skewness 33."""
SCENES = {  # rule, candidate's mean over stable's, candidate's and stable's values a look, variation
    "worse by a third": (harm(0.05, 0.1), 1.33, 30, 270, 1.0),
    "worse by half, at half of the traffic": (harm(0.01, 0.1), 1.5, 100, 100, SKEWED),
    "twice as high, few values": (harm(0.01, 0.1), 2.0, 5, 95, 1.0),
    "half as high": (harm(0.01, 0.05, "higher"), 0.5, 5, 95, SKEWED),
    "lower by a third": (harm(0.01, 0.05, "higher"), 0.67, 30, 270, SKEWED),
    "equal, margin a half": (safety(0.05, 0.5), 1.0, 30, 270, SKEWED),
    "equal, margin a tenth": (safety(0.05, 0.1), 1.0, 100, 100, 1.0),
    "equal, margin a fifth": (safety(0.05, 0.2, "higher"), 1.0, 30, 270, 1.0),
    "better": (safety(0.05, 0.2, "higher"), 1.2, 5, 95, 1.0),
    "a heavy tail": (safety(0.05, 0.5), 1.0, 30, 270, HEAVY),
    "twice as high, a heavy tail": (harm(0.01, 0.1), 2.0, 100, 100, HEAVY),
    "hardly any spread": (safety(0.05, 0.1), 1.0, 30, 270, 0.1),
}


def side(values: NDArray[np.float64]) -> Arm:
    return arm(values.size, float(values.sum()), float((values * values).sum()))


def drawn(dice: np.random.Generator, count: int, variation: float) -> NDArray[np.float64]:
    """Values with mean 1: exponential, lognormal or, where they hardly vary, normal ones."""
    if variation == 1.0:
        return dice.exponential(1, count)
    if variation < 0.5:
        return dice.normal(1, variation, count)
    sigma = math.sqrt(math.log1p(variation**2))
    return np.exp(dice.normal(-(sigma**2) / 2, sigma, count))


def watched(rule: Rule, looks: Iterator[Look]) -> int:
    """How many looks until the rule was reached."""
    evidence = start()
    for number, look in enumerate(looks, 1):
        evidence = update(rule, evidence, look)
        if reached(evidence):
            return number
    raise AssertionError("looks never end")


def world(
    dice: np.random.Generator, times: float, sizes: tuple[int, int], variation: float, shared: float = 0.0
) -> Iterator[Look]:
    """Looks without end; `shared` is how much the values of one side and look have in common."""
    while True:
        common = 1 + dice.normal(0, shared, 2) if shared else (1.0, 1.0)
        yield Look(*(side(one * factor * drawn(dice, size, variation)) for one, factor, size in zip(common, (times, 1.0), sizes, strict=True)))  # fmt: skip


def simulated(rule: Rule, times: float, sizes: tuple[int, int], variation: float, shared: float = 0.0) -> list[int]:
    dice = np.random.default_rng(20261121)
    return [watched(rule, world(dice, times, sizes, variation, shared)) for _ in range(RUNS)]


@pytest.mark.parametrize("scene", SCENES)
def test_the_mean_is_foretold_to_a_third_and_nine_of_ten_need_at_most_twice_as_much(scene: str) -> None:
    rule, times, size, other, variation = SCENES[scene]

    found = size * np.array(simulated(rule, times, (size, other), variation))
    foretold = means_power.values(rule, times, variation, size / (size + other), size)

    assert 0.75 < np.mean(found) / foretold < 1.33
    assert np.quantile(found, 0.9) < 2.1 * foretold


def test_what_is_left_is_foretold_from_what_was_seen() -> None:
    dice, rule, ratios = np.random.default_rng(5), safety(0.05, 0.1), []
    for _ in range(RUNS):
        evidence, looks = start(), world(dice, 1.0, (100, 100), 1.0)
        for _ in range(8):
            evidence = update(rule, evidence, next(looks))
        if reached(evidence):
            continue
        about = means_power.looks_left(rule, evidence, evidence.sums, 1 / 8)
        left = 0
        while not reached(evidence):
            evidence, left = update(rule, evidence, next(looks)), left + 1
        ratios.append((about, left))
    told, came = np.array(ratios).T
    known = np.isfinite(told)

    assert known.mean() > 0.75, "by chance the candidate looked worse than the margin in the others"
    assert np.median(told[known]) == pytest.approx(np.median(came), rel=0.33)


@pytest.mark.parametrize("rule", [harm(0.01, 0.1), safety(0.05, 0.3), harm(0.01, 0.1, "higher")])
def test_of_looks_that_are_all_alike_the_number_is_foretold_to_the_look(rule: Rule) -> None:
    times = {1: 1.4, -1: 0.7 if rule.null < 1 else 1.0}[rule.sign]
    look = Look(Arm(30, times, times**2), Arm(270, 1.0, 1.0))
    evidence, foretold, number = start(), [], 0
    while not reached(evidence):
        evidence, number = update(rule, evidence, look), number + 1
        foretold.append(number + means_power.looks_left(rule, evidence, evidence.sums, 1 / number))

    assert all(number - 1 <= one <= number for one in foretold)


def test_what_an_older_step_told_foretells_a_rule_that_begins_anew() -> None:
    rule, look = safety(0.05, 0.2), Look(Arm(30, 1.0, 1.0), Arm(270, 1.0, 1.0))
    seen = Sums()
    for _ in range(20):
        seen = added(seen, look)

    anew, more = (means_power.looks_left(rule, start(), seen, part / 20) for part in (1.0, 2.0))

    assert anew == pytest.approx(next(number for number, one in enumerate(evidences(rule, look), 1) if reached(one)), abs=1)  # fmt: skip
    assert more == pytest.approx(anew / 2, rel=0.01), "twice the traffic takes half of the looks"


def evidences(rule: Rule, look: Look) -> Iterator[Evidence]:
    evidence = start()
    while True:
        evidence = update(rule, evidence, look)
        yield evidence


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_what_the_null_allows_is_never_refuted(better: str) -> None:
    worse = {"lower": 1.1, "higher": 0.9}[better]
    a_harm, a_safety = harm(0.01, 0.1, better), safety(0.05, 0.1, better)  # type: ignore[arg-type]

    assert means_power.values(a_harm, worse, 1.0, 0.1, 30) == math.inf
    assert means_power.values(a_safety, worse, 1.0, 0.1, 30) == math.inf
    assert means_power.values(a_harm, 1.0, 1.0, 0.1, 30) == math.inf
    assert means_power.values(a_safety, 1.0, 1.0, 0.1, 30) < math.inf


def test_what_is_lacking_and_will_not_come_is_never() -> None:
    nothing = [Look(Arm(30, 1.5, 1.0), Arm(270, -1.0, 1.0)), Look(Arm(30, 2.0, 0.0), Arm(270, 1.0, 0.0))]

    for look in nothing:
        evidence = update(harm(0.01, 0.1), start(), look)
        assert means_power.looks_left(harm(0.01, 0.1), evidence, evidence.sums) == math.inf


def test_values_that_hardly_differ_take_five_looks_and_those_that_differ_without_bounds_never_pass() -> None:
    rule = safety(0.05, 0.3)

    assert means_power.values(rule, 1.0, 1e-300, 0.1, 30) == pytest.approx(5 * 30, rel=1e-3)
    assert means_power.values(rule, 1.0, 1e300, 0.1, 30) == math.inf
    assert means_power.values(rule, 1.0, 1.0, 0.1, 1e300) == pytest.approx(5e12, rel=1e-3)
    assert 49.9 < means_power.values(rule, 1.0, 0.1, 0.1, 1e-300) < 60


def test_what_is_refuted_takes_no_look_more() -> None:
    rule, look = safety(0.05, 0.2), Look(Arm(30, 1.0, 1.0), Arm(270, 1.0, 1.0))
    before = start()
    for one in evidences(rule, look):
        if reached(one):
            break
        before = one

    assert means_power.looks_left(rule, one, one.sums) == 0
    assert means_power.looks_left(rule, replace(one, refuted=False), one.sums) == 0, "the next look will say it"
    assert 0 < means_power.looks_left(rule, before, added(Sums(), look)) <= 1
    assert means_power.looks_left(rule, Evidence(before.sums, before.pace, refuted=True), before.sums) == 0


def test_more_spread_less_difference_and_less_weight_need_more_values() -> None:
    rule = harm(0.01, 0.1)
    by_spread = [means_power.values(rule, 1.5, one, 0.1, 30) for one in (0.1, 0.5, 1.0, 2.0, 5.0)]
    by_times = [means_power.values(rule, one, 1.0, 0.1, 30) for one in (3.0, 2.0, 1.5, 1.2, 1.15)]
    of_all = [means_power.values(rule, 1.5, 1.0, share, 300 * share) / share for share in (0.5, 0.2, 0.1, 0.02)]

    for found in (by_spread, by_times, of_all):
        assert found == sorted(found)
        assert len(set(found)) == len(found)


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_the_least_that_is_found_within_a_budget_needs_just_that_budget(better: str) -> None:
    rule, budget = harm(0.01, 0.1, better), 5000.0  # type: ignore[arg-type]

    least = means_power.detectable(rule, 1.0, 0.1, 30, budget)

    assert least is not None
    assert means_power.values(rule, least, 1.0, 0.1, 30) == pytest.approx(budget, rel=0.02)
    assert (least > 1.1) if better == "lower" else (0 < least < 0.9)
    assert means_power.detectable(rule, 1.0, 0.1, 30, 100.0) is None
    endless = means_power.detectable(rule, 1.0, 0.1, 30, 1e15)
    assert endless == pytest.approx(rule.null, abs=1e-4)


@pytest.mark.parametrize(("better", "far"), [("lower", 3.0), ("higher", 1 / 3)])
def test_what_is_not_found_of_a_mean_three_times_as_bad_is_not_found_at_all(better: str, far: float) -> None:
    """Of values that spread as they grow, one five times as bad takes longer."""
    rule = harm(0.01, 0.1, better)  # type: ignore[arg-type]
    needed = means_power.values(rule, far, 10.0, 0.1, 30)

    assert means_power.detectable(rule, 10.0, 0.1, 30, needed - 1) is None
    assert means_power.detectable(rule, 10.0, 0.1, 30, needed + 1) == pytest.approx(far, rel=0.02)
    if better == "lower":
        assert means_power.values(rule, 5.0, 10.0, 0.1, 30) > needed + 1


def test_less_than_a_value_a_look_is_a_value_a_look() -> None:
    """Beside two of stable then, not nine: it takes a third more."""
    rule = harm(0.01, 0.1, "lower")

    few, one = (means_power.values(rule, 2.0, 1.0, 0.1, each) for each in (0.2, 1.0))

    assert few / one == pytest.approx(4 / 3, rel=0.03)


def test_the_variation_is_read_off_what_looks_told() -> None:
    dice = np.random.default_rng(3)
    sums = [Sums(), Sums()]
    for place, shared in enumerate((0.0, 0.4)):
        looks = world(dice, 1.0, (50, 450), SKEWED, shared)
        for _ in range(400):
            sums[place] = added(sums[place], next(looks))

    within, clustered = (means_power.variation(one) for one in sums)

    assert within is not None
    assert clustered is not None
    assert within == pytest.approx(SKEWED, rel=0.1)
    assert clustered == pytest.approx(math.sqrt(45 * (2 * 0.4**2)), rel=0.25), (
        "spread of looks, of which each weighs 45"
    )
    assert means_power.variation(Sums()) is None
    assert means_power.variation(added(Sums(), Look(Arm(9, 1.0, 1.0), Arm(9, 1.0, 1.0)))) is None
    below = Look(Arm(9, 1.0, 1.0), Arm(9, -1.0, 1.0))
    assert means_power.variation(added(added(Sums(), below), below)) is None


def told_by(*observed: Look) -> float | None:
    sums = Sums()
    for look in observed:
        sums = added(sums, look)
    return means_power.variation(sums)


def test_the_variation_of_a_few_looks_is_worked_out_by_hand() -> None:
    stable, wide = Arm(270, 2.0, 9.0), Arm(270, 2.0, 1.0)
    candidate = Arm(30, 2.0, 4.0)

    assert told_by(*[Look(candidate, stable)] * 2) == pytest.approx(3 / 2), "the greater spread is believed of both"
    assert told_by(*[Look(candidate, wide)] * 2) == pytest.approx(2 / 2)
    apart = [Look(Arm(100, mean, 1.0), Arm(100, 2.0, 1.0)) for mean in (1.0, 3.0, 1.0, 3.0)]
    # Weights of 50, contrasts 1 from their mean: 4 * 50^2 / 3 * 4 of variance in 4 * 50 of weight.
    assert told_by(*apart) == pytest.approx(math.sqrt(4 * 50**2 * 4 / 3 / 200) / 2)
    assert told_by(*[Look(candidate, Arm(9, 0.0, 1.0))] * 2) is None
    small = Arm(270, 2e-6, 9e-12)
    assert told_by(*[Look(small, small)] * 2) == pytest.approx(3 / 2), "in whatever unit"


def test_values_that_come_in_clusters_take_as_long_as_their_variation_says() -> None:
    rule, dice, sums = safety(0.05, 0.3), np.random.default_rng(4), Sums()
    looks = world(dice, 1.0, (50, 450), 1.0, 0.3)
    for _ in range(200):
        sums = added(sums, next(looks))
    known = means_power.variation(sums)
    assert known is not None

    foretold = means_power.values(rule, 1.0, known, 0.1, 50)

    assert 0.75 < 50 * np.mean(simulated(rule, 1.0, (50, 450), 1.0, 0.3)) / foretold < 1.33
    assert foretold > 3 * means_power.values(rule, 1.0, 1.0, 0.1, 50)


def users(dice: np.random.Generator, count: int, times: float) -> Pairs:
    visits = 1.0 + dice.geometric(0.3, count)
    sales = times * visits * dice.exponential(1, count)
    return Pairs(count, float(sales.sum()), float(visits.sum()), float((sales**2).sum()), float((visits**2).sum()), float((sales * visits).sum()))  # fmt: skip


@pytest.mark.parametrize(("rule", "times"), [(safety(0.05, 0.2, "higher"), 1.0), (harm(0.01, 0.1, "higher"), 0.7)])
def test_a_ratio_takes_as_long_as_its_linearised_values_vary(rule: Rule, times: float) -> None:
    dice = np.random.default_rng(6)
    visits = 1.0 + dice.geometric(0.3, 100_000)
    sales = visits * dice.exponential(1, 100_000)
    left = sales - visits * sales.mean() / visits.mean()

    def looks() -> Iterator[Look]:
        while True:
            yield look_at_ratios(users(dice, 40, times), users(dice, 160, 1.0))

    found = [40 * watched(rule, looks()) for _ in range(RUNS)]

    foretold = means_power.values(rule, times, float(left.std() / sales.mean()), 0.2, 40)
    assert 0.75 < np.mean(found) / foretold < 1.33
