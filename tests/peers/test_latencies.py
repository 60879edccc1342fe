"""Are the peers' rules for latency what their sources say?"""

import math

import numpy as np
import pytest
from bench.decisions.latency import BOUNDS, HEALTHY, WORLDS, shares
from scipy.special import ndtr
from scipy.stats import mannwhitneyu

from peers.latencies import Histograms, naive, oracle, quantiles, rank_z, threshold
from peers.streams import Ints


def one(candidate: list[list[int]], stable: list[list[int]], bounds: tuple[float, ...]) -> Histograms:
    return Histograms(np.array([candidate]), np.array([stable]), bounds)


def test_a_quantile_is_interpolated_as_prometheus_does() -> None:
    counts: Ints = np.array([[[10, 80, 10, 0], [0, 0, 0, 5], [90, 5, 5, 0]]])
    bounds = (0.1, 0.2, 0.4, math.inf)

    found = quantiles(counts, bounds, 0.95)

    assert found[0].tolist() == pytest.approx([0.3, 0.4, 0.2])  # half of the third bucket; beyond the last; a whole one


def test_ranks_are_those_of_mann_and_whitney_with_ties() -> None:
    candidate, stable = [3, 5, 9, 2], [10, 9, 4, 1]
    values = (np.repeat(range(4), candidate), np.repeat(range(4), stable))
    known = mannwhitneyu(*values, alternative="greater", method="asymptotic", use_continuity=False)

    found = rank_z(one([candidate], [stable], (1.0, 2.0, 3.0, math.inf)))

    assert 1 - ndtr(found[0, 0]) == pytest.approx(known.pvalue, abs=1e-9)


def test_a_threshold_counts_the_looks_in_which_the_candidate_was_slower() -> None:
    slow, quick = [0, 0, 100, 0], [0, 100, 0, 0]
    seen = one([slow, quick, slow, slow], [quick] * 4, (0.1, 0.2, 0.4, math.inf))

    assert [threshold(seen, 1.1, failures)[0] for failures in (1, 2, 3, 4)] == [1, 3, 4, 0]


def test_who_knows_both_distributions_is_wrong_as_often_as_allowed_and_right_at_once() -> None:
    healthy, slower = WORLDS[0].streams(np.random.default_rng(5), 1000), WORLDS[1].streams(np.random.default_rng(6), 50)

    wrong = (oracle(healthy, 0.05, HEALTHY, shares(1.05)) > 0).mean()
    right = oracle(slower, 0.05, HEALTHY, shares(1.2))

    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)
    assert (right > 0).all()
    assert right.mean() < 1.1
    assert len(BOUNDS) == len(HEALTHY)


def test_ranks_that_are_looked_at_again_and_again_are_wrong_far_too_often() -> None:
    assert (naive(WORLDS[0].streams(np.random.default_rng(7), 400), 0.05) > 0).mean() > 0.15
