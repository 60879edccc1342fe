"""Published bounds and error rates of tests that are repeated on normal sums."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from assay.stats.boundary import MINIMUM, REACH, Density, beyond, bound, mass, nothing, onward


def two_sided(spent: Callable[[float], float], looks: int) -> list[float]:
    """Bounds in standard errors at equally spaced looks, when half of the chance is spent on either side."""
    density, before, found = nothing(), 0.0, []
    for k in range(1, looks + 1):
        chance, before = spent(k / looks) - before, spent(k / looks)
        edge = bound(density, 1.0, chance / 2)
        density = onward(density, 1.0, -edge, edge)
        found.append(edge / math.sqrt(k))
    return found


def peeking(looks: int, *, both: bool) -> float:
    """Chance of ever being beyond 1.96 standard errors."""
    density, crossed = nothing(), 0.0
    for k in range(1, looks + 1):
        edge = 1.96 * math.sqrt(k)
        crossed += beyond(density, 1.0, edge) * (2 if both else 1)
        density = onward(density, 1.0, -edge if both else -REACH * math.sqrt(k), edge)
    return crossed


def test_bounds_of_the_kind_of_o_brien_and_fleming_are_the_published_ones() -> None:
    found = two_sided(lambda t: 4 * norm.sf(norm.isf(0.05 / 4) / math.sqrt(t)), 5)
    assert found == pytest.approx([4.8769, 3.3570, 2.6803, 2.2898, 2.0310], abs=1e-4)


def test_bounds_of_the_kind_of_pocock_are_the_published_ones() -> None:
    found = two_sided(lambda t: 0.05 * math.log(1 + (math.e - 1) * t), 5)
    assert found == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=1e-4)


@pytest.mark.parametrize(("looks", "crossed"), [(2, 0.083), (5, 0.142), (10, 0.193), (20, 0.248)])
def test_peeking_on_both_sides_errs_as_often_as_published(looks: int, crossed: float) -> None:
    assert peeking(looks, both=True) == pytest.approx(crossed, abs=5e-4)


@pytest.mark.parametrize(("looks", "crossed"), [(2, 0.042), (4, 0.063), (10, 0.097), (20, 0.124)])
def test_peeking_on_the_upper_side_errs_as_often_as_published(looks: int, crossed: float) -> None:
    assert peeking(looks, both=False) == pytest.approx(crossed, abs=5.1e-4)


def test_the_nodes_are_fine_enough_for_the_smallest_increment() -> None:
    assert peeking(round(1 / MINIMUM), both=False) == pytest.approx(0.1527637563, abs=1e-9)  # with 1000 nodes


def test_a_bound_is_crossed_with_the_chance_it_was_made_for() -> None:
    density = nothing()
    for variance in (1.0, 0.1, 30.0, 2.0):
        edge = bound(density, variance, 0.003)
        assert beyond(density, variance, edge) == pytest.approx(0.003, rel=1e-6)
        density = onward(density, variance, -100.0, edge)


def test_unequal_increments_are_crossed_as_often_as_dice_say() -> None:
    variances = np.array([1.0, 0.05, 4.0, 0.5, 9.0])
    edges = 1.5 * np.sqrt(np.cumsum(variances))
    density, crossed = nothing(), 0.0
    for k, variance in enumerate(variances):
        crossed += beyond(density, float(variance), float(edges[k]))
        density = onward(density, float(variance), -REACH * math.sqrt(variances[: k + 1].sum()), float(edges[k]))
    steps = np.random.default_rng(1).normal(size=(200_000, 5)) * np.sqrt(variances)
    assert crossed == pytest.approx(np.any(np.cumsum(steps, axis=1) >= edges, axis=1).mean(), abs=0.003)


def test_what_has_crossed_no_bound_is_all_but_what_the_bounds_were_made_for() -> None:
    density, spent = nothing(), 0.0
    assert mass(density) == 1
    for look, chance in enumerate((0.01, 0.02, 0.005), 1):
        edge, spent = bound(density, 1.0, chance), spent + chance
        density = onward(density, 1.0, -REACH * math.sqrt(look), edge)
        assert mass(density) == pytest.approx(1 - spent, abs=1e-6)


def test_the_first_increment_is_normal() -> None:
    assert bound(nothing(), 1.0, 0.05) == pytest.approx(norm.isf(0.05), abs=1e-7)
    assert bound(nothing(), 4.0, 0.05) == pytest.approx(2 * norm.isf(0.05), abs=1e-7)
    assert bound(nothing(), 100.0, 0.99) == pytest.approx(10 * norm.isf(0.99), abs=1e-6)
    assert bound(nothing(), 1e-8, 0.05) == pytest.approx(1e-4 * norm.isf(0.05), rel=1e-7)
    assert nothing() == Density(0.0, 0.0, ())
    assert beyond(nothing(), 4.0, 1.0) == pytest.approx(norm.sf(0.5), rel=1e-12)
    density = onward(nothing(), 4.0, -3.0, 1.0)
    assert (density.lowest, density.highest) == (-3.0, 1.0)
    assert beyond(density, 1.0, -100.0) == pytest.approx(norm.cdf(0.5) - norm.cdf(-1.5), rel=1e-9)  # what is left


def test_a_chance_too_small_for_any_increment_puts_the_bound_far_away() -> None:
    assert bound(nothing(), 4.0, 1e-30) == 18.0
