"""The ways in which a real rollout fools a naive test, simulated with fixed seeds."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from assay.stats.proportion import Look, Rule, above, below, harm, reached, safety, start, update

LOOKS, RUNS, LEVEL = 60, 220, 0.05
AT_MOST = LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / RUNS)

Dice = np.random.Generator
World = Callable[[Dice, float], Iterator[Look]]


def look(dice: Dice, requests: int, weight: float, rate: float, odds: float) -> Look:
    candidate = round(requests * weight)
    worse = odds * rate / (1 - rate + odds * rate)
    bad, stable_bad = dice.binomial(candidate, worse), dice.binomial(requests - candidate, rate)
    return Look(candidate, int(bad), requests - candidate, int(stable_bad))


def steady(dice: Dice, odds: float) -> Iterator[Look]:
    for _ in range(LOOKS):
        yield look(dice, 3000, 0.1, 0.01, odds)


def shared_bursts(dice: Dice, odds: float) -> Iterator[Look]:
    """A dependency fails now and then, for both sides."""
    for _ in range(LOOKS):
        yield look(dice, 3000, 0.1, float(dice.choice([0.005, 0.3], p=[0.9, 0.1])), odds)


def diurnal_drift(dice: Dice, odds: float) -> Iterator[Look]:
    for k in range(LOOKS):
        yield look(dice, 3000, 0.1, 0.01 - 0.006 * math.cos(2 * math.pi * k / LOOKS), odds)


def ramp_while_the_rate_rises(dice: Dice, odds: float) -> Iterator[Look]:
    for k in range(LOOKS):
        yield look(dice, 3000, 0.05 + 0.45 * k / LOOKS, 0.005 + 0.025 * k / LOOKS, odds)


def ramp_while_the_rate_falls(dice: Dice, odds: float) -> Iterator[Look]:
    """Pooled over the looks, even a worse candidate seems better (Simpson 1951)."""
    for k in range(LOOKS):
        yield look(dice, 3000, 0.05 + 0.45 * k / LOOKS, 0.03 - 0.025 * k / LOOKS, odds)


def weight_that_reacts_to_what_was_seen(dice: Dice, odds: float) -> Iterator[Look]:
    weight = 0.1
    for k in range(LOOKS):
        seen = look(dice, 3000, weight, 0.005 + 0.025 * k / LOOKS, odds)
        yield seen
        share = seen.candidate_bad / max(1, seen.candidate_bad + seen.stable_bad)
        weight = min(0.5, weight * 1.5) if share > weight else max(0.02, weight / 1.5)


def missing_scrapes(dice: Dice, odds: float) -> Iterator[Look]:
    """Two of three scrapes are lost; the next one carries what was missed."""
    gap = Look(0, 0, 0, 0)
    for seen in diurnal_drift(dice, odds):
        gap = Look(
            gap.candidate_total + seen.candidate_total,
            gap.candidate_bad + seen.candidate_bad,
            gap.stable_total + seen.stable_total,
            gap.stable_bad + seen.stable_bad,
        )
        if dice.random() < 1 / 3:
            yield gap
            gap = Look(0, 0, 0, 0)


def low_traffic(dice: Dice, odds: float) -> Iterator[Look]:
    """Three candidate requests per look."""
    for _ in range(LOOKS):
        yield look(dice, 30, 0.1, 0.01, odds)


def perfect_baseline(dice: Dice, rate: float) -> Iterator[Look]:
    """The stable revision never fails."""
    for _ in range(LOOKS):
        yield Look(300, int(dice.binomial(300, rate)), 2700, 0)


def decided(rule: Rule, world: World, truth: float, runs: int = RUNS) -> float:
    """Share of rollouts in which the rule is reached at some look."""
    dice, times = np.random.default_rng(20261121), 0
    for _ in range(runs):
        evidence = start(rule)
        for seen in world(dice, truth):
            evidence = update(rule, evidence, seen)
            if reached(rule, evidence):
                times += 1
                break
    return times / runs


EVERYWHERE = [
    steady,
    shared_bursts,
    diurnal_drift,
    ramp_while_the_rate_rises,
    ramp_while_the_rate_falls,
    weight_that_reacts_to_what_was_seen,
    missing_scrapes,
    low_traffic,
]


@pytest.mark.parametrize("world", EVERYWHERE)
def test_a_candidate_that_is_not_worse_is_rarely_rolled_back(world: World) -> None:
    assert decided(harm(LEVEL, 1.0), world, 1.0) <= AT_MOST


@pytest.mark.parametrize("world", EVERYWHERE)
def test_a_candidate_at_the_margin_is_rarely_promoted(world: World) -> None:
    assert decided(safety(LEVEL, 1.5), world, 1.5) <= AT_MOST


@pytest.mark.parametrize("world", [each for each in EVERYWHERE if each is not low_traffic])
def test_a_clearly_worse_candidate_is_rolled_back(world: World) -> None:
    assert decided(harm(LEVEL, 1.0), world, 2.0, runs=50) >= 0.95


def test_a_candidate_worse_by_half_is_found_on_a_ramp_that_hides_it_from_pooled_counts() -> None:
    pooled = [0, 0, 0, 0]
    for seen in ramp_while_the_rate_falls(np.random.default_rng(1), 1.6):
        numbers = (seen.candidate_total, seen.candidate_bad, seen.stable_total, seen.stable_bad)
        pooled = [a + b for a, b in zip(pooled, numbers, strict=True)]
    assert pooled[1] / pooled[0] < 1.3 * pooled[3] / pooled[2]
    assert decided(harm(LEVEL, 1.0), ramp_while_the_rate_falls, 1.6, runs=100) >= 0.98


@pytest.mark.parametrize("world", [steady, shared_bursts, diurnal_drift, missing_scrapes])
def test_an_equal_candidate_is_promoted(world: World) -> None:
    assert decided(safety(LEVEL, 1.5), world, 1.0, runs=50) >= 0.9


def test_with_three_requests_per_look_a_candidate_that_fails_every_fifth_is_found() -> None:
    odds = 0.2 / 0.8 / (0.01 / 0.99)
    assert decided(harm(LEVEL, 1.0), low_traffic, odds, runs=100) >= 0.98


def test_beside_a_stable_revision_that_never_fails_a_candidate_that_does_is_found() -> None:
    assert decided(harm(LEVEL, 1.0), perfect_baseline, 0.01, runs=100) == 1.0
    assert decided(harm(LEVEL, 1.0), perfect_baseline, 0.0, runs=1) == 0.0


def test_a_candidate_exactly_at_a_limit_is_rarely_rolled_back_and_one_above_is() -> None:
    assert decided(above(LEVEL, 0.01), perfect_baseline, 0.01) <= AT_MOST
    assert decided(above(LEVEL, 0.01), perfect_baseline, 0.02, runs=50) >= 0.95


def test_a_candidate_exactly_at_the_negligible_rate_rarely_passes_for_it_and_one_far_below_does() -> None:
    assert decided(below(LEVEL, 0.01), perfect_baseline, 0.01) <= AT_MOST
    assert decided(below(LEVEL, 0.01), perfect_baseline, 0.002, runs=50) >= 0.95
