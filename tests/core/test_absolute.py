"""Does a difference of rates keep its promises, where little is known of stable's rate when the rollout begins?"""

import math
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator

from assay.api.base import Verdict
from assay.api.checks import Check
from core.test_checks import a_check, looked

RATE, DIFFERENCE = 0.005, 0.005
KNOWN = 1000  # requests of stable before the rollout: some five bad ones
RUNS, LOOKS, EACH = 200, 30, 1500
LEVEL = 0.05
MOST = LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / RUNS)


def counted(dice: Generator, candidate_rate: float) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """(bad, all) so far of candidate and stable, look by look."""
    totals = np.arange(LOOKS + 1) * EACH
    bad = dice.binomial(EACH, (candidate_rate, RATE), (LOOKS, 2)).cumsum(axis=0)
    before = int(dice.binomial(KNOWN, RATE))
    candidate, stable = ([0, *column.tolist()] for column in bad.T)
    pairs = zip(candidate, stable, totals.tolist(), strict=True)
    return [((x, total + 1), (before + y, KNOWN + total)) for x, y, total in pairs]


def share(check: Check, verdict: Verdict, **analysis: Any) -> float:
    """Of candidates whose rate is that much higher, the share that gets this verdict."""
    dice = np.random.default_rng(20261121)
    ended = [looked(check, *counted(dice, RATE + DIFFERENCE), **analysis).verdict for _ in range(RUNS)]
    return sum(one is verdict for one in ended) / RUNS


def test_candidates_at_an_absolute_tolerance_are_rolled_back_as_seldom_as_promised() -> None:
    check = a_check(tolerance={"absolute": f"{DIFFERENCE}"}, margin={"absolute": "0.05"})

    assert share(check, Verdict.FAIL, falseRollback=f"{LEVEL}", warmupSeconds=0) <= MOST


def test_candidates_at_an_absolute_margin_are_promoted_as_seldom_as_promised() -> None:
    check = a_check(tolerance={"absolute": "0.004"}, margin={"absolute": f"{DIFFERENCE}"})

    assert share(check, Verdict.PASS, falseRollback="0.0001", warmupSeconds=0) <= MOST


def test_the_next_look_is_held_against_all_that_is_known_of_stables_rate() -> None:
    check = a_check(tolerance={"absolute": "0.01"}, margin={"absolute": "0.03"})

    status = looked(check, ((0, 1), (1, 100)), ((1, 101), (20, 1000)))

    rate = 20.5 / 1001
    assert status.odds == pytest.approx([odds(rate + 0.01) / odds(rate), odds(rate + 0.03) / odds(rate)])


def test_what_a_pod_counted_before_it_began_anew_is_known_still() -> None:
    check = a_check(tolerance={"absolute": "0.01"}, margin={"absolute": "0.03"})

    status = looked(check, ((0, 1), (1, 100)), ((1, 101), (20, 1000)), ((2, 201), (0, 10)))

    rate = 19.5 / 901  # of the looks; the pod tells of 0 in 10
    assert status.totals[2:] == [900, 19]
    assert status.odds == pytest.approx([odds(rate + 0.01) / odds(rate), odds(rate + 0.03) / odds(rate)])


def test_relative_thresholds_never_change_and_absolute_ones_not_where_they_would_leave_no_room() -> None:
    looks = ((0, 1), (1, 100)), ((1, 101), (20, 1000)), ((1, 101), (10**9, 10**9))

    assert looked(a_check(), *looks).odds == [1.1, 1.5]
    check = a_check(tolerance={"absolute": "0.01"}, margin={"absolute": "0.03"})
    assert looked(check, *looks).odds == looked(check, *looks[:2]).odds


def odds(rate: float) -> float:
    return rate / (1 - rate)
