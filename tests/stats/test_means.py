import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t as student

from assay.stats import means
from assay.stats.means import (
    Better,
    Evidence,
    Rule,
    Sums,
    estimates,
    harm,
    interval,
    lacking,
    log_mixture,
    looks,
    precision,
    ratio,
    reached,
    safety,
    score,
    start,
    two_sided_bound,
    update,
)
from assay.stats.moments import Arm, Look, Pairs, arm, look_at_gauges, look_at_ratios

ROLLOUT, RUNS, LEVEL = 60, 200, 0.05
AT_MOST = LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / RUNS)

Dice = np.random.Generator
Draw = Callable[[Dice, int], NDArray[np.float64]]
Plan = tuple[int, int, float]
"""How many values candidate and stable have, and by what all of them are multiplied."""
World = Callable[[Dice], Iterator[Plan]]


@dataclass(frozen=True)
class Case:
    draw: Draw
    world: World
    spread: float = 0.0
    """How much the values of one side and look have in common."""


def side(values: NDArray[np.float64]) -> Arm:
    return arm(values.size, float(values.sum()), float((values * values).sum()))


def exponential(dice: Dice, count: int) -> NDArray[np.float64]:
    return dice.exponential(1, count)


def lognormal(dice: Dice, count: int) -> NDArray[np.float64]:
    """Skewness 6."""
    return np.exp(dice.normal(0, 1, count))


def heavy(dice: Dice, count: int) -> NDArray[np.float64]:
    """Lognormal, skewness 33: among few values, the large ones are missing."""
    return np.exp(dice.normal(0, 1.5, count))


def steady(_: Dice) -> Iterator[Plan]:
    yield from [(30, 270, 1.0)] * ROLLOUT


def few(_: Dice) -> Iterator[Plan]:
    yield from [(10, 10, 1.0)] * ROLLOUT


def drift(_: Dice) -> Iterator[Plan]:
    for k in range(ROLLOUT):
        yield 30, 270, 1 - 0.8 * math.cos(2 * math.pi * k / ROLLOUT)


def ramp(_: Dice) -> Iterator[Plan]:
    """The weight rises while both sides' values do."""
    for k in range(ROLLOUT):
        candidate = round(300 * (0.05 + 0.45 * k / ROLLOUT))
        yield candidate, 300 - candidate, 0.5 + 1.5 * k / ROLLOUT


def ramp_down(_: Dice) -> Iterator[Plan]:
    """The weight rises while both sides' values fall: pooled, even a worse candidate seems better (Simpson 1951)."""
    for k in range(ROLLOUT):
        candidate = round(300 * (0.05 + 0.45 * k / ROLLOUT))
        yield candidate, 300 - candidate, 2 - 1.5 * k / ROLLOUT


def bursts(dice: Dice) -> Iterator[Plan]:
    for _ in range(ROLLOUT):
        yield 30, 270, float(dice.choice([1.0, 5.0], p=[0.9, 0.1]))


def rollout(dice: Dice, case: Case, times: float) -> Iterator[Look]:
    """The candidate's values are `times` as large."""
    for candidate, stable, level in case.world(dice):
        shared = np.exp(dice.normal(0, [case.spread, case.spread / 3]))
        yield Look(
            side(level * times * shared[0] * case.draw(dice, candidate)),
            side(level * shared[1] * case.draw(dice, stable)),
        )


def when(rule: Rule, times: float, case: Case, runs: int = RUNS) -> list[int]:
    """At which look it was reached, in the rollouts in which it was."""
    dice, found = np.random.default_rng(20261121), []
    for _ in range(runs):
        evidence = start()
        for number, look in enumerate(rollout(dice, case, times), 1):
            evidence = update(rule, evidence, look)
            if reached(evidence):
                found.append(number)
                break
    return found


def decided(rule: Rule, times: float, case: Case, runs: int = RUNS) -> float:
    """Share of rollouts in which it was reached."""
    return len(when(rule, times, case, runs)) / runs


def after(rule: Rule, observed: list[Look]) -> Evidence:
    evidence = start()
    for look in observed:
        evidence = update(rule, evidence, look)
    return evidence


def looks_of(seed: int, times: float, count: int = 20, draw: Draw = exponential) -> list[Look]:
    plan: World = lambda _: iter([(30, 270, 1.0)] * count)  # noqa: E731
    return list(rollout(np.random.default_rng(seed), Case(draw, plan), times))


EVERYWHERE = [steady, few, drift, ramp, ramp_down, bursts]
EDGES: list[tuple[Rule, float]] = [
    (harm(LEVEL, 0.1), 1.1),
    (harm(LEVEL, 0.1, "higher"), 0.9),
    (safety(LEVEL, 0.5), 1.5),
    (safety(LEVEL, 0.3, "higher"), 0.7),
]
NAMES = ["harm-lower", "harm-higher", "safety-lower", "safety-higher"]


@pytest.mark.parametrize("draw", [exponential, lognormal, heavy])
@pytest.mark.parametrize("world", EVERYWHERE)
@pytest.mark.parametrize(("rule", "times"), EDGES, ids=NAMES)
def test_at_the_edge_of_the_null_it_is_rarely_refuted_at_any_of_sixty_looks(
    rule: Rule, times: float, world: World, draw: Draw
) -> None:
    assert decided(rule, times, Case(draw, world), 40) <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / 40)


@pytest.mark.parametrize(("rule", "times"), EDGES, ids=NAMES)
def test_values_that_come_in_clusters_do_not_fool_it(rule: Rule, times: float) -> None:
    assert decided(rule, times, Case(exponential, steady, spread=0.3)) <= AT_MOST


@pytest.mark.parametrize("world", EVERYWHERE)
def test_a_clearly_worse_candidate_is_found_and_an_equal_one_passes(world: World) -> None:
    assert decided(harm(LEVEL, 0.1), 1.6, Case(exponential, world), 30) >= 0.95
    assert decided(harm(LEVEL, 0.1, "higher"), 0.55, Case(exponential, world), 30) >= 0.95
    assert decided(safety(LEVEL, 0.5), 1.0, Case(exponential, world), 30) >= 0.95
    assert decided(safety(LEVEL, 0.5, "higher"), 1.0, Case(exponential, world), 30) >= 0.95


def test_a_candidate_worse_by_a_third_is_found_on_a_ramp_that_hides_it_from_pooled_values() -> None:
    pooled = np.zeros((2, 2))
    for look in rollout(np.random.default_rng(1), Case(exponential, ramp_down), 1.35):
        pooled += [[one.count, one.count * one.mean] for one in (look.candidate, look.stable)]
    assert pooled[0, 1] / pooled[0, 0] < 1.1 * pooled[1, 1] / pooled[1, 0]
    assert decided(harm(LEVEL, 0.1), 1.35, Case(exponential, ramp_down), 40) >= 0.9


def test_how_soon_it_decides() -> None:
    # 30 + 270 exponential values a look. A test that knew the truth would need 9 looks for 1.3 beyond 1.1 (Wald 1945).
    assert np.mean(when(harm(LEVEL, 0.1), 1.3, Case(exponential, steady), 60)) == pytest.approx(17, abs=2)
    assert np.mean(when(harm(LEVEL, 0.1), 2.0, Case(exponential, steady), 60)) == pytest.approx(5.5, abs=0.6)
    assert np.mean(when(safety(LEVEL, 0.5), 1.0, Case(exponential, steady), 60)) == pytest.approx(6, abs=0.7)
    assert np.mean(when(safety(LEVEL, 0.25), 1.0, Case(exponential, steady), 60)) == pytest.approx(10, abs=1.5)


def test_mixtures_and_bounds_are_those_of_confseq() -> None:
    # confseq's unit tests: optimal variance 100 at alpha 0.05.
    rho = 100 / (-2 * math.log(0.05) + math.log1p(-2 * math.log(0.05)))
    assert rho == pytest.approx(12.60056, abs=5e-6)
    assert 10 * two_sided_bound(100 / rho, 0.05) == pytest.approx(30.35209, abs=5e-6)
    assert math.exp(log_mixture(2.766071, 100 / precision(100, 0.05))) == pytest.approx(1 / 0.05, rel=1e-5)


def test_the_interval_is_as_wide_as_that_of_growthbook() -> None:
    # gbstats 0.8.0: means .41 (sd 3.9, n 3407) and .7 (sd 6.2, n 3461), N* 5000, alpha .05: [-.0894101, .6694101].
    error = math.sqrt(3.9**2 / 3407 + 6.2**2 / 3461)
    scale = 5000 / (-2 * math.log(0.05) + math.log1p(-2 * math.log(0.05)))
    half = error * two_sided_bound((3407 + 3461) / scale, 0.05)
    assert (0.29 - half, 0.29 + half) == pytest.approx((-0.0894101, 0.6694101), abs=5e-7)
    # 2000/10000 and 220/1000: [-.0220317, .0620317].
    error = math.sqrt(0.2 * 0.8 / 10000 + 0.22 * 0.78 / 1000)
    half = error * two_sided_bound(11000 / scale, 0.05)
    assert (0.02 - half, 0.02 + half) == pytest.approx((-0.0220317, 0.0620317), abs=2e-5)  # they divide by n - 1


def test_of_one_look_the_standing_is_that_of_welch() -> None:
    # growthbook's test of Welch: difference .29, from -.0.04538 to .53462 at 1.96 standard errors, unpooled.
    look = Look(Arm(3461, 0.7, 6.2**2), Arm(3407, 0.41, 3.9**2))
    sums = means.added(Sums(), look)
    error = math.sqrt(sums.ww_vc_nc + sums.ww_vs_ns) / sums.w
    assert (0.29 - 1.9602 * error, 0.29 + 1.9602 * error) == pytest.approx((0.04538, 0.53462), abs=3e-5)


def test_the_between_look_part_is_students_t_for_looks_of_equal_weight() -> None:
    values = [(1.4, 1.0), (1.1, 0.9), (1.5, 1.2), (1.2, 1.1), (1.6, 1.0), (1.3, 0.8), (1.1, 1.0)]
    sums = Sums()
    for candidate, stable in values:
        sums = means.added(sums, look_at_gauges(candidate, stable))
    gaps = np.array([candidate - 1.1 * stable for candidate, stable in values])
    t = gaps.mean() / (gaps.std(ddof=1) / math.sqrt(gaps.size))
    z, variance = means._standing(sums, 1.1)
    assert 0.5 * math.erfc(z / math.sqrt(2)) == pytest.approx(student.sf(t, gaps.size - 1), rel=1e-9)
    assert variance / sums.w**2 == pytest.approx(gaps.var(ddof=1) / gaps.size)


def test_of_two_variances_the_one_that_says_less_is_believed() -> None:
    alike = [Look(Arm(100, 1.3, 1.0), Arm(100, 1.0, 1.0))] * 6
    apart = [Look(Arm(100, mean, 1.0), Arm(100, 1.0, 1.0)) for mean in (0.4, 2.2, 0.5, 2.1, 0.6, 2.0)]
    rule = harm(LEVEL, 0.0)
    assert score(rule, after(rule, alike)) > 10
    assert score(rule, after(rule, apart)) < 1.5


def test_a_side_is_taken_to_spread_as_much_as_the_other() -> None:
    tame = [Look(Arm(20, 0.5, 0.01), Arm(500, 1.0, 4.0))] * 8
    sums = after(safety(LEVEL, 0.5), tame).sums
    z, variance = means._standing(sums, 1.5)
    assert variance / sums.w**2 == pytest.approx((1.5**2 * 4 / 20 + 1.5**2 * 4 / 500) / 8)
    assert z == pytest.approx(-1.0 / math.sqrt(variance / sums.w**2))


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_nothing_is_said_before_enough_was_seen(better: Better) -> None:
    rule = harm(LEVEL, 0.1, better)

    def lack(*observed: Look) -> str | None:
        sums = after(rule, list(observed)).sums
        return lacking(rule, sums)

    wide, narrow = Arm(9, 1.0, 1.0), Arm(11, 1.0, 1.0)
    assert lack() == "looks"
    assert lack(*[Look(narrow, narrow)] * 4) == "looks"
    assert lack(*[Look(wide, narrow)] * 5) == "values"
    assert lack(*[Look(Arm(100, 1.0, 30.0), Arm(100, 1.0, 30.0))] * 5) == "precision"
    assert (
        lack(*[Look(Arm(100, 1.0, 0.1), Arm(5000, 1.0, 30.0))] * 5) == "precision"
    )  # its large values have yet to come
    assert lack(*[Look(Arm(100, 1.0, 1.0), Arm(100, -1.0, 1.0))] * 5) == "sign"
    assert lack(*[Look(Arm(100, 3.0, 0.0), Arm(100, 1.0, 0.0))] * 5) == "spread"
    assert lack(*[Look(narrow, narrow)] * 5) is None
    assert not reached(after(rule, [Look(Arm(9, 50.0, 1.0), narrow)] * 5))


def test_a_look_of_great_weight_is_no_substitute_for_several() -> None:
    sums = after(harm(LEVEL, 0.0), [*looks_of(1, 1.0, 8), Look(Arm(3000, 2.0, 1.0), Arm(27_000, 1.0, 1.0))]).sums
    assert looks(sums) < 1.2
    assert looks(after(harm(LEVEL, 0.0), looks_of(1, 1.0, 8)).sums) == pytest.approx(8)


def test_a_look_that_lacks_a_side_is_not_counted() -> None:
    rule = harm(LEVEL, 0.1)
    evidence = after(rule, looks_of(2, 1.0))
    assert update(rule, evidence, Look(Arm(0, 0.0, 0.0), Arm(9, 5.0, 1.0))) == evidence
    assert update(rule, evidence, Look(Arm(9, 5.0, 1.0), Arm(0, 0.0, 0.0))) == evidence


def test_once_refuted_it_stays_refuted_and_the_estimate_goes_on() -> None:
    rule = harm(LEVEL, 0.1)
    evidence = after(rule, looks_of(3, 3.0, 10))
    assert reached(evidence)
    later = update(rule, evidence, Look(Arm(10_000, 0.1, 1.0), Arm(10_000, 1.0, 1.0)))
    assert reached(later)
    assert score(rule, later) == pytest.approx(1 / LEVEL)
    assert later.sums.n_c == 10_300


def test_the_interval_holds_at_all_looks_together_and_closes_in_on_the_truth() -> None:
    dice, runs, missed = np.random.default_rng(7), 100, 0
    for _ in range(runs):
        evidence, out = start(), False
        for number, look in enumerate(rollout(dice, Case(lognormal, drift), 1.3)):
            evidence = update(harm(0.01, 0.1), evidence, look)
            if number % 4 == 3:
                low, high = interval(evidence, 0.1)
                out = out or not low <= 1.3 <= high
        missed += out
    assert missed / runs <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / runs)
    low, high = interval(after(harm(0.01, 0.1), looks_of(5, 1.3, 2000)), 0.05)
    assert 1.25 < low < 1.3 < high < 1.35


def test_the_interval_is_where_a_ratio_is_just_refuted() -> None:
    evidence = after(harm(0.01, 0.1), looks_of(5, 1.3, 30))
    for end in interval(evidence, 0.05):
        z, variance = means._standing(evidence.sums, end)
        assert abs(z) == pytest.approx(two_sided_bound(variance / evidence.pace, 0.05), rel=1e-6)
    assert interval(start(), 0.05) == (0.0, math.inf)


def test_harm_of_what_should_be_low_is_safety_of_what_should_be_high() -> None:
    # Both refute "the ratio is at most this"; they differ in where the bet is best.
    low, high = harm(LEVEL, 0.2), safety(LEVEL, 0.2, "higher")
    assert (low.null, low.sign) == (1.2, 1)
    assert (high.null, high.sign) == (0.8, 1)
    assert (harm(LEVEL, 0.2, "higher").null, harm(LEVEL, 0.2, "higher").sign) == (0.8, -1)
    assert (safety(LEVEL, 0.2).null, safety(LEVEL, 0.2).sign) == (1.2, -1)


@given(st.floats(1e-6, 1e9), st.integers(0, 50), st.sampled_from([0.8, 1.0, 1.5]))
def test_the_unit_of_the_values_does_not_matter(unit: float, seed: int, times: float) -> None:
    rule = harm(LEVEL, 0.1)
    observed = looks_of(seed, times, 8)
    scaled = [
        Look(*(Arm(one.count, unit * one.mean, unit**2 * one.variance) for one in (look.candidate, look.stable)))
        for look in observed
    ]
    assert score(rule, after(rule, scaled)) == pytest.approx(score(rule, after(rule, observed)), rel=1e-6)
    assert interval(after(rule, scaled), 0.05) == pytest.approx(interval(after(rule, observed), 0.05), rel=1e-6)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(-1e55, 1e55), st.floats(0, 1e60)), max_size=12))
def test_whatever_was_seen_the_state_goes_on_from_json_and_is_finite(drawn: list[tuple[int, float, float]]) -> None:
    rule, evidence = safety(0.2, 0.5), start()
    for count, total, squares in drawn:
        look = Look(arm(20 * count, total, squares), arm(20, 3.0, 5.0))
        stored = json.loads(json.dumps(asdict(evidence), allow_nan=False))
        again = Evidence(Sums(**stored["sums"]), stored["pace"], stored["refuted"])
        evidence = update(rule, evidence, look)
        assert update(rule, again, look) == evidence
        assert all(math.isfinite(value) for value in (*astuple(evidence.sums), score(rule, evidence)))
        low, high = interval(evidence, 0.05)
        assert 0 <= low <= high


def test_far_on_the_right_side_of_the_null_rounding_refutes_nothing() -> None:
    for z in (-1e2, -1e8, -1e16):
        assert math.log(1e-3 / abs(z)) < log_mixture(z, 3.0) < 0
    rule = safety(0.2, 0.5)
    observed = [
        Look(arm(20, 20 * size, 20 * size * size * (1 + 1e-9)), arm(20, 20.0, 20.0 + 1e-9)) for size in (1e4, 2e4)
    ]
    assert score(rule, after(rule, observed * 5)) < 1


def pairs(numerators: NDArray[np.float64], denominators: NDArray[np.float64]) -> Pairs:
    return Pairs(
        numerators.size,
        float(numerators.sum()),
        float(denominators.sum()),
        float((numerators**2).sum()),
        float((denominators**2).sum()),
        float((numerators * denominators).sum()),
    )


def users(dice: Dice, count: int, times: float) -> Pairs:
    """Visits of users, who differ in how often they come and in what they buy."""
    visits = 1 + dice.geometric(0.2, count).astype(float)
    return pairs(times * visits * dice.exponential(1, count) * dice.gamma(2, 0.5, count), visits)


def test_a_ratio_varies_as_the_delta_method_says() -> None:
    dice = np.random.default_rng(11)
    big = users(dice, 200_000, 1.0)
    own = look_at_ratios(big, big).candidate
    found = [one.numerator / one.denominator for one in (users(dice, 400, 1.0) for _ in range(2000))]
    scale = big.denominator / big.count
    assert math.sqrt(own.variance / 400) / scale**2 == pytest.approx(float(np.std(found)), rel=0.05)
    assert own.mean / scale**2 == pytest.approx(big.numerator / big.denominator)


def test_ratios_of_a_few_users_a_look_are_compared_without_bias() -> None:
    rule, dice, wrong, right = harm(LEVEL, 0.1), np.random.default_rng(5), 0, 0
    for _ in range(100):
        null = after(rule, [look_at_ratios(users(dice, 4, 1.1), users(dice, 36, 1.0)) for _ in range(ROLLOUT)])
        wrong += reached(null)
    for _ in range(20):
        worse = after(rule, [look_at_ratios(users(dice, 30, 1.8), users(dice, 270, 1.0)) for _ in range(ROLLOUT)])
        right += reached(worse)
    assert wrong / 100 <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / 100)
    assert right == 20
    assert ratio(worse.sums) == pytest.approx(1.8, abs=0.15)


def test_gauges_are_judged_by_how_looks_differ() -> None:
    rule, dice, wrong = harm(LEVEL, 0.1, "higher", gauge=True), np.random.default_rng(5), 0
    found = 0
    for _ in range(RUNS):
        equal = after(
            rule, [look_at_gauges(0.81 + dice.normal(0, 0.02), 0.9 + dice.normal(0, 0.02)) for _ in range(60)]
        )
        wrong += reached(equal)
        worse = after(
            rule, [look_at_gauges(0.78 + dice.normal(0, 0.02), 0.9 + dice.normal(0, 0.02)) for _ in range(60)]
        )
        found += reached(worse)
    assert wrong / RUNS <= AT_MOST
    assert found / RUNS >= 0.95
    assert not reached(after(rule, [look_at_gauges(0.1 + dice.normal(0, 0.02), 0.9) for _ in range(9)]))


def test_estimates_have_the_weights_of_the_looks() -> None:
    sums = after(
        harm(LEVEL, 0.1), [Look(Arm(10, 1.0, 1.0), Arm(90, 2.0, 1.0)), Look(Arm(50, 3.0, 1.0), Arm(50, 4.0, 1.0))]
    ).sums
    assert estimates(sums) == pytest.approx(((9 * 1 + 25 * 3) / 34, (9 * 2 + 25 * 4) / 34))
    assert estimates(Sums()) is None
    assert ratio(Sums()) is None


@pytest.mark.parametrize(
    ("level", "margin", "better"),
    [(0.0, 0.5, "lower"), (1.0, 0.5, "lower"), (0.05, 1.0, "higher"), (0.05, 0.0, "lower")],
)
def test_a_rule_that_makes_no_sense_is_refused(level: float, margin: float, better: Better) -> None:
    with pytest.raises(ValueError, match="must"):
        safety(level, margin, better)


def test_an_edge_that_is_infinitely_far_is_refused() -> None:
    with pytest.raises(ValueError, match="must be positive and finite"):
        harm(LEVEL, math.inf)
