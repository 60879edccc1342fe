"""Does a difference of rates keep its promises, where little is known of stable's rate when the rollout begins?"""

import math
from typing import Any

import numpy as np
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
