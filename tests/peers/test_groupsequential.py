"""Bounds of group-sequential tests, against the published tables."""

import numpy as np
import pytest

from peers import groupsequential as gs
from peers.streams import Streams


def evenly(looks: int) -> list[float]:
    return [(k + 1) / looks for k in range(looks)]


@pytest.mark.parametrize(("looks", "constant"), [(2, 2.178), (3, 2.289), (4, 2.361), (5, 2.413)])
def test_pococks_constants_are_those_of_jennison_and_turnbull(looks: int, constant: float) -> None:
    assert gs.pocock_constant(looks, 0.05) == pytest.approx(constant, abs=5e-4)


def test_the_bounds_of_obrien_and_fleming_are_those_of_gsdesign() -> None:
    assert gs.obrien_fleming_bounds(4, 0.05) == pytest.approx([4.05, 2.86, 2.34, 2.02], abs=5e-3)


@pytest.mark.parametrize(
    ("spending", "expected"),
    [
        (gs.obrien_fleming_spending, [4.8769, 3.3570, 2.6803, 2.2898, 2.0310]),
        (gs.pocock_spending, [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_spending_gives_the_bounds_of_reboussin_and_others(spending: gs.Spending, expected: list[float]) -> None:
    times = evenly(5)

    found = gs.bounds(times, [2 * spending(time, 0.025) for time in times], two_sided=True)

    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("looks", "chance"), [(2, 0.083), (5, 0.142), (10, 0.193), (20, 0.248)])
def test_peeking_errs_as_armitage_and_others_found(looks: int, chance: float) -> None:
    assert gs.crossing(evenly(looks), [1.96] * looks, two_sided=True) == pytest.approx(chance, abs=6e-4)


@pytest.mark.parametrize(("looks", "chance"), [(2, 0.042), (4, 0.063), (10, 0.097), (20, 0.124)])
def test_peeking_at_one_side_errs_as_gsdesign_says(looks: int, chance: float) -> None:
    assert gs.crossing(evenly(looks), [1.96] * looks, two_sided=False) == pytest.approx(chance, abs=6e-4)


@pytest.mark.parametrize("shape", ["obrien-fleming", "pocock"])
def test_what_is_spent_over_sixty_looks_is_the_level(shape: str) -> None:
    assert gs.crossing(evenly(60), gs.limits(shape, 60, 0.05).tolist(), two_sided=False) == pytest.approx(
        0.05, abs=1e-8
    )


def test_hardly_anything_is_spent_early_by_one_and_evenly_by_the_other() -> None:
    assert gs.obrien_fleming_spending(0.1, 0.05) < 1e-8
    assert gs.pocock_spending(0.1, 0.05) == pytest.approx(0.0079, abs=1e-4)
    assert gs.obrien_fleming_spending(1.0, 0.05) == pytest.approx(0.05)
    assert gs.pocock_spending(1.0, 0.05) == pytest.approx(0.05)


def test_the_normal_approximation_errs_too_often_where_errors_are_few() -> None:
    dice, shape = np.random.default_rng(6), (3000, 60)

    def wrong(n: int, m: int) -> float:
        bad, other = dice.binomial(n, 0.01, shape), dice.binomial(m, 0.01, shape)
        seen = Streams(np.full(shape, n), bad, np.full(shape, m), other)
        return float((gs.stopped(seen, gs.limits("pocock", 60, 0.05)) > 0).mean())

    assert wrong(3, 27) == pytest.approx(0.158, abs=0.025)
    assert wrong(3000, 27000) == pytest.approx(0.05, abs=0.014)
