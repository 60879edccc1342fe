"""Do running sums say what all looks together do? The formulas of `means`, written out over the list of looks."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
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
    precision,
    ratio,
    reached,
    safety,
    score,
    start,
    two_sided_bound,
    update,
)
from assay.stats.moments import Arm, Look, look_at_gauges

LEVEL = 0.05
RULES = [harm(LEVEL, 0.1), harm(LEVEL, 0.1, "higher"), safety(LEVEL, 0.5), safety(LEVEL, 0.3, "higher")]
NAMES = ["harm-lower", "harm-higher", "safety-lower", "safety-higher"]


def looks_of(seed: int, count: int = 12, spread: float = 0.3) -> list[Look]:
    """Looks whose counts, means and variances all differ."""
    dice = np.random.default_rng(seed)
    return [
        Look(
            Arm(int(dice.integers(20, 90)), dice.uniform(0.8, 1.2), spread * dice.uniform(0.2, 2)),
            Arm(int(dice.integers(90, 900)), dice.uniform(0.8, 1.2), spread * dice.uniform(0.2, 2)),
        )
        for _ in range(count)
    ]


def weights(looks: Sequence[Look]) -> list[float]:
    return [1 / (1 / one.candidate.count + 1 / one.stable.count) for one in looks]


def within(looks: Sequence[Look], at: float) -> float:
    """Variance of the summed contrast by the values in each look, either side spreading at least as the other does."""
    pairs = list(zip(weights(looks), looks, strict=True))
    candidate = sum(w**2 * k.candidate.variance / k.candidate.count for w, k in pairs)
    stable = sum(w**2 * at**2 * k.stable.variance / k.stable.count for w, k in pairs)
    candidate_as_stable = sum(w**2 * at**2 * k.stable.variance / k.candidate.count for w, k in pairs)
    stable_as_candidate = sum(w**2 * k.candidate.variance / k.stable.count for w, k in pairs)
    return max(candidate, candidate_as_stable) + max(stable, stable_as_candidate)


def between(looks: Sequence[Look], at: float) -> tuple[float, float]:
    """The same by how looks differ, and the degrees of freedom (Kish 1965)."""
    w = np.array(weights(looks))
    gaps = np.array([one.candidate.mean - at * one.stable.mean for one in looks])
    worth = w.sum() ** 2 / (w @ w)
    return float(w**2 @ (gaps - w @ gaps / w.sum()) ** 2 * worth / (worth - 1)), float(worth - 1)


def standing(looks: Sequence[Look], at: float) -> tuple[float, float]:
    """Standard errors by the variance that says less, and that variance."""
    gap = sum(w * (one.candidate.mean - at * one.stable.mean) for w, one in zip(weights(looks), looks, strict=True))
    known, (badly_known, freedom) = within(looks, at), between(looks, at)
    by_student = math.copysign(float(norm.isf(student.sf(abs(gap) / math.sqrt(badly_known), freedom))), gap)
    found = [(by_student, badly_known), *([(gap / math.sqrt(known), known)] if known else [])]
    return min(found, key=lambda one: abs(one[0]))


def mixture(z: float, u: float) -> float:
    """Bets exp(slope * sum - slope^2 * u / 2), slopes spread as the positive half of a standard normal law."""
    bets = quad(lambda slope: 2 * norm.pdf(slope) * math.exp(slope * z * math.sqrt(u) - slope**2 * u / 2), 0, 40)
    return float(bets[0])


def after(rule: Rule, looks: Sequence[Look]) -> Evidence:
    evidence = start()
    for look in looks:
        evidence = update(rule, evidence, look)
    return evidence


@pytest.mark.parametrize("spread", [0.3, 30.0])
@pytest.mark.parametrize("at", [0.7, 1.0, 1.5])
def test_the_standing_is_that_of_the_list_of_looks(at: float, spread: float) -> None:
    """With little spread the looks differ by more than their values say, with much by less."""
    for seed in range(20):
        looks = looks_of(seed, 4 + seed, spread)
        assert means._standing(after(harm(LEVEL, 0.1), looks).sums, at) == pytest.approx(standing(looks, at), rel=1e-6)


def test_looks_that_hardly_differ_stand_far_beyond_and_not_infinitely_far() -> None:
    dice = np.random.default_rng(5)
    looks = [look_at_gauges(*(1 + 1e-4 * dice.normal(0, 1, 2)).tolist()) for _ in range(12)]
    z, variance = means._standing(after(harm(LEVEL, 0.1, gauge=True), looks).sums, 0.5)

    assert 10 < z < 20
    assert (z, variance) == pytest.approx(standing(looks, 0.5), rel=1e-4)


@pytest.mark.parametrize("z", [-6.0, -0.5, 0.0, 0.5, 3.0])
@pytest.mark.parametrize("u", [0.01, 0.5, 1.0, 30.0])
def test_the_mixture_is_the_integral_over_its_bets(z: float, u: float) -> None:
    assert math.exp(log_mixture(z, u)) == pytest.approx(mixture(z, u), rel=1e-6)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_the_score_is_the_mixture_at_the_standing_with_the_pace_of_the_first_look_at_which_something_may_be_said(
    rule: Rule,
) -> None:
    looks = looks_of(3, 16)
    first = next(count for count in range(1, 17) if lacking(rule, after(rule, looks[:count]).sums) is None)
    assert first > 5
    total = sum(w * one.stable.mean for w, one in zip(weights(looks[:first]), looks[:first], strict=True))
    clear = {"harm-lower": 0.33, "harm-higher": 0.27, "safety-lower": 0.5, "safety-higher": 0.3}
    errors = 2.5 * math.sqrt(standing(looks[:first], rule.null)[1]) / clear[NAMES[RULES.index(rule)]] / total
    at_best = standing(looks[:first], rule.null)[1] * errors**2  # where `clear` is 2.5 standard errors
    pace = precision(at_best, LEVEL)
    for count in range(first, 17):
        evidence = after(rule, looks[:count])
        z, variance = standing(looks[:count], rule.null)
        expected = min(mixture(rule.sign * z, variance / pace), 20.0)
        assert evidence.pace == pytest.approx(pace)
        assert score(rule, evidence) == pytest.approx(expected, rel=1e-5)
        assert reached(evidence) == (expected == 20)


def test_at_its_own_variance_no_other_pace_has_a_lower_bound() -> None:
    """The two-sided bound, at twice the level, as its root is known; the formula for the best pace is an approximation."""
    best = 100 / precision(100, 0.05)
    assert all(two_sided_bound(best, 0.1) < two_sided_bound(best * other, 0.1) for other in (0.5, 0.8, 1.25, 2.0))


def test_a_level_beyond_a_quarter_has_the_pace_of_a_quarter() -> None:
    """Of more than a half the formula for the best pace has no value."""
    doubt = 2 * math.log(2)
    assert precision(100, 0.25) == precision(100, 0.6) == pytest.approx(100 / (doubt + math.log(1 + doubt)))


def test_the_estimates_and_their_ratio_are_weighted_means() -> None:
    looks = looks_of(8)
    candidate, stable = (
        float(np.average([side.mean for side in sides], weights=weights(looks)))
        for sides in ([one.candidate for one in looks], [one.stable for one in looks])
    )
    sums = after(harm(LEVEL, 0.1), looks).sums
    assert estimates(sums) == pytest.approx((candidate, stable))
    assert ratio(sums) == pytest.approx(candidate / stable)


def alike(count: int, candidate: Arm, stable: Arm) -> Sums:
    return after(harm(LEVEL, 0.1), [Look(candidate, stable)] * count).sums


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_enough_are_five_looks_and_fifty_values_of_either_side(better: Better) -> None:
    rule, ten, nine = harm(LEVEL, 0.1, better), Arm(10, 1.0, 0.1), Arm(9, 1.0, 0.1)

    assert lacking(rule, alike(4, Arm(20, 1.0, 0.1), Arm(20, 1.0, 0.1))) == "looks"
    assert lacking(rule, alike(5, ten, ten)) is None
    four = Arm(4, 1.0, 0.1)
    assert lacking(rule, after(rule, [Look(nine, ten)] * 5 + [Look(four, ten)]).sums) == "values"
    assert lacking(rule, after(rule, [Look(ten, nine)] * 5 + [Look(ten, four)]).sums) == "values"


def test_enough_is_a_mean_known_to_a_fifth() -> None:
    """Of 5 looks at n values the relative standard error is sqrt(v / 5 n): 0.2 for 20 values of variance 4."""
    rule = harm(LEVEL, 0.1)
    known, barely, badly = Arm(20, 1.0, 0.1), Arm(20, 1.0, 3.99), Arm(20, 1.0, 4.01)

    assert lacking(rule, alike(5, barely, known)) is lacking(rule, alike(5, known, barely)) is None
    assert lacking(rule, alike(5, badly, known)) == lacking(rule, alike(5, known, badly)) == "precision"
    many = Arm(2000, 1.0, 4.01)
    assert lacking(rule, alike(5, known, many)) == "precision", "the candidate's large values may not have come yet"
    assert lacking(rule, alike(5, many, known)) is None


def test_of_gauges_enough_are_ten_looks_whatever_they_spread() -> None:
    rule = harm(LEVEL, 0.1, gauge=True)

    def lack(count: int) -> str | None:
        looks = [look_at_gauges(9.0 if at % 2 else 0.1, 1.0) for at in range(count)]
        return lacking(rule, after(rule, looks).sums)

    assert [lack(count) for count in (1, 9, 10)] == ["looks", "looks", None]


@pytest.mark.parametrize("beyond", [0.0, 1e-9, 1e-7, 1e-5, 0.4, -1e-7, -0.4])
def test_gauges_that_never_change_do_not_tell_how_they_could(beyond: float) -> None:
    """However near to the null they are, where rounding is as large as the contrast."""
    for unit in (1.0, 0.3, 7.7, 1e3):
        rule = harm(LEVEL, 0.1, gauge=True)
        evidence = after(rule, [look_at_gauges((1.1 + beyond) * unit, unit)] * 40)
        assert lacking(rule, evidence.sums) == "spread"
        assert not reached(evidence)


def test_a_gauge_that_was_refuted_may_be_taken_back() -> None:
    rule = harm(LEVEL, 0.1, gauge=True)
    dice = np.random.default_rng(1)
    bad = [look_at_gauges(float(dice.normal(2.0, 0.02)), float(dice.normal(1.0, 0.02))) for _ in range(12)]
    good = [look_at_gauges(float(dice.normal(0.5, 0.02)), float(dice.normal(1.0, 0.02))) for _ in range(12)]

    assert reached(after(rule, bad))
    assert not reached(after(rule, bad + good))


def test_a_ratio_that_a_side_without_a_positive_mean_has_not_is_not_bounded() -> None:
    for mean in (0.0, -1.0):
        looks = [Look(Arm(20, 1.0, 0.1), Arm(20, mean, 0.1))] * 6
        evidence = after(harm(LEVEL, 0.1), looks)
        assert ratio(evidence.sums) is None
        assert interval(evidence, LEVEL) == (0.0, math.inf)
        assert score(harm(LEVEL, 0.1), evidence) == 1


def test_where_stable_s_mean_turns_out_not_to_be_positive_nothing_is_said_any_more() -> None:
    rule, looks = harm(LEVEL, 0.1), looks_of(6, 10)
    known = after(rule, looks)
    assert score(rule, known) < 1

    lost = update(rule, known, Look(Arm(20, 1.0, 0.1), Arm(400, -50.0, 0.1)))

    assert (score(rule, lost), reached(lost), lost.pace) == (1.0, False, known.pace)


def test_of_no_looks_as_many_looks_are_worth_as_there_were() -> None:
    assert means.looks(Sums()) == 0


def test_the_interval_ends_where_a_ratio_is_just_not_refuted_by_the_two_sided_bound() -> None:
    looks = looks_of(4, 20, 0.05)
    evidence = after(harm(LEVEL, 0.1), looks)
    low, high = interval(evidence, LEVEL)

    assert low < estimates_ratio(looks) < high
    for end in (low, high):
        z, variance = standing(looks, end)
        u = variance / evidence.pace
        assert abs(z) == pytest.approx(math.sqrt((1 + u) / u * math.log((1 + u) / LEVEL**2)), rel=1e-6)


@pytest.mark.parametrize("noise", np.geomspace(0.02, 3, 24).tolist())
def test_what_lies_outside_the_interval_is_refuted_and_an_end_that_is_not_is_none(noise: float) -> None:
    """With little noise it ends on both sides, with more on one, with much on neither."""
    dice = np.random.default_rng(2)
    looks = [look_at_gauges(*(1 + noise * dice.normal(0, 1, 2)).tolist()) for _ in range(12)]
    evidence = after(harm(LEVEL, 0.1, gauge=True), looks)
    low, high = interval(evidence, LEVEL)

    def refuted(at: float) -> bool:
        z, variance = standing(looks, at)
        u = variance / evidence.pace
        return z * z >= (1 + u) / u * math.log((1 + u) / LEVEL**2)

    assert (low > 0, high < math.inf) == (refuted(0.0), refuted(1e9))
    assert not refuted(estimates_ratio(looks))
    assert all(refuted(at) for at in np.geomspace(1e-3, 1e3, 60).tolist() if not low <= at <= high)
    assert not any(refuted(end) for end in (low * (1 + 1e-6), high * (1 - 1e-6)) if 0 < end < math.inf)


def test_a_ratio_that_is_the_same_at_every_look_is_known() -> None:
    looks = [look_at_gauges(1.5 * stable, stable) for stable in (1.0, 2.0, 4.0) * 4]

    assert interval(after(harm(LEVEL, 0.1, gauge=True), looks), LEVEL) == (1.5, 1.5)


def estimates_ratio(looks: Sequence[Look]) -> float:
    w = weights(looks)
    return float(
        np.average([one.candidate.mean for one in looks], weights=w)
        / np.average([one.stable.mean for one in looks], weights=w)
    )
