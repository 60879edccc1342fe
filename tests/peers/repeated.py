"""Tests of two proportions that are asked again at every look, with and without a right to do so.

Sources: the pooled z-test of any textbook; its stratified sister, Mantel & Haenszel (1959); the mixture SPRT of Optimizely, Johari, Koomen, Pekelis & Walsh (2017, 2022),
"Always Valid Inference: Continuous Monitoring of A/B Tests"; the asymptotic confidence sequence of GrowthBook
(gbstats 0.8, 2025; equation 9 of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Annals of Statistics 52).
"""

import math

import numpy as np
from scipy.special import ndtri

from peers.streams import Floats, Ints, Streams, first


def z(bad_a: Floats | Ints, n_a: Floats | Ints, bad_b: Floats | Ints, n_b: Floats | Ints) -> Floats:
    """Return the pooled z of rate a minus rate b; 0 where it is not defined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (bad_a + bad_b) / (n_a + n_b)
        found = (bad_a / n_a - bad_b / n_b) / np.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)


def pooled_z(seen: Streams) -> Floats:
    """Return z of all that was counted up to each look; shape (runs, looks)."""
    so_far = seen.cumulated()
    return z(so_far.candidate_bad, so_far.candidate_total, so_far.stable_bad, so_far.stable_total)


def stratified_z(seen: Streams) -> Floats:
    """Return z of the candidate's bad ones against their share of each look, up to each look (Mantel & Haenszel 1959)."""
    n, m, bad = seen.candidate_total, seen.stable_total, seen.candidate_bad + seen.stable_bad
    everything = np.maximum(n + m, 1)
    excess = (seen.candidate_bad - n * bad / everything).cumsum(axis=1)
    variance = (n * m / everything * bad / everything * (n + m - bad) / np.maximum(everything - 1, 1)).cumsum(axis=1)
    found: Floats = np.divide(excess, np.sqrt(variance), out=np.zeros(excess.shape), where=variance > 0)
    return found


def naive(seen: Streams, alpha: float) -> Ints:
    """Roll back as soon as the one-sided z-test is significant."""
    return first(pooled_z(seen) > float(ndtri(1 - alpha)))


def once(seen: Streams, alpha: float) -> Ints:
    """Roll back at the last look if the one-sided z-test is significant then: the textbook, which nobody has the patience for."""
    significant = pooled_z(seen) > float(ndtri(1 - alpha))
    significant[:, :-1] = False
    return first(significant)


def moments(seen: Streams) -> tuple[Floats, Floats, Ints]:
    """Return the difference of the rates up to each look, its variance (unpooled), and all requests."""
    so_far = seen.cumulated()
    n, m = np.maximum(so_far.candidate_total, 1), np.maximum(so_far.stable_total, 1)
    p, q = so_far.candidate_bad / n, so_far.stable_bad / m
    return p - q, p * (1 - p) / n + q * (1 - q) / m, n + m


def mixture_sprt(seen: Streams, alpha: float, tau: float) -> Ints:
    """Roll back when the likelihood, averaged over differences from N(0, tau squared), is 1 / (2 alpha) times the null's.

    The test is two-sided; only its upper side rolls back, so that it is used at twice the one-sided alpha, in its favour.
    """
    difference, variance, _ = moments(seen)
    variance = np.maximum(variance, 1e-12)
    both = variance + tau**2
    log_ratio = 0.5 * np.log(variance / both) + difference**2 * tau**2 / (2 * variance * both)
    return first((difference > 0) & (log_ratio >= -math.log(2 * alpha)))


def rho(alpha: float, tuned: float) -> float:
    """Return the parameter that makes the sequence tightest after so many observations."""
    return math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / tuned)


def half_width(variance: Floats | float, requests: Ints | int, alpha: float, tuned: float) -> Floats:
    """Return half the width of GrowthBook's sequence for an estimate with this variance."""
    spread = requests * rho(alpha, tuned) ** 2
    return np.sqrt(variance * requests) * np.sqrt(
        2 * (spread + 1) * np.log(np.sqrt(spread + 1) / alpha) / (requests * spread)
    )


def asymptotic_sequence(seen: Streams, alpha: float, tuned: float = 5000.0) -> Ints:
    """Roll back when the two-sided sequence of the difference, at twice the one-sided alpha, lies above zero."""
    difference, variance, requests = moments(seen)
    return first(difference > half_width(variance, requests, 2 * alpha, tuned))
