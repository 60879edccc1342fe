"""How fast could any rule be that keeps the promise, even one that knows both error rates?

Sources: Wald (1945), the sequential probability ratio test; Arrow, Blackwell & Girshick (1949), backward induction for
it. Who knows the stable rate needs no stable requests: the candidate's errors so far say all.
"""

import math

import numpy as np
from scipy.special import gammaln, xlog1py, xlogy

from peers.streams import Floats, Ints, Streams, first

LARGE = 600.0  # a log-likelihood ratio at which nobody would stop; its exponential is still finite


def divergence(p: float, q: float) -> float:
    """Return the information per request in favour of rate p against rate q, in nats (Kullback & Leibler 1951)."""
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def log_ratio(bad: Ints | Floats, total: Ints | Floats | int, p: float, q: float) -> Floats:
    """Return the logarithm of the likelihood at rate p over that at rate q."""
    found: Floats = bad * math.log(p / q) + (total - bad) * math.log((1 - p) / (1 - q))
    return found


def sprt(seen: Streams, alpha: float, null: float, truth: float) -> Ints:
    """Roll back when the candidate's likelihood ratio reaches 1 / alpha: Wald's test without a lower bound."""
    so_far = seen.cumulated()
    return first(log_ratio(so_far.candidate_bad, so_far.candidate_total, truth, null) >= -math.log(alpha))


def sprt_lines(p: float, q: float, alpha: float, beta: float) -> tuple[float, float, float]:
    """Return slope, upper and lower intercept of Wald's lines for the number of bad among n requests; p above q."""
    scale = math.log(p / q) - math.log((1 - p) / (1 - q))
    slope = -math.log((1 - p) / (1 - q)) / scale
    return slope, math.log((1 - beta) / alpha) / scale, math.log(beta / (1 - alpha)) / scale


def _binomial(total: int, rate: float) -> Floats:
    counts = np.arange(total + 1)
    log = gammaln(total + 1) - gammaln(counts + 1) - gammaln(total - counts + 1)
    p = np.exp(log + xlogy(counts, rate) + xlog1py(total - counts, -rate))
    kept: Floats = p[: int(np.flatnonzero(p > 1e-18)[-1]) + 1]  # the rest is lost in rounding
    return kept


def _price(weight: float, looks: int, requests: int, null: float, truth: float) -> tuple[float, float]:
    """Return expected looks and false rollbacks of the rule that is best when each of the latter costs so many looks.

    Backward induction over the candidate's errors so far, under the truth: to stop costs the price of a false rollback
    times the likelihood ratio null / truth, to go on costs a look more.
    """
    step = _binomial(requests, truth)
    size = looks * (len(step) - 1) + 1
    ahead_looks, ahead_false = np.zeros(size), np.zeros(size)  # after the last look nothing can be saved any more
    for k in range(looks - 1, -1, -1):
        reachable = k * (len(step) - 1) + 1
        go_looks = 1 + np.correlate(ahead_looks[: reachable + len(step) - 1], step, "valid")
        go_false = np.correlate(ahead_false[: reachable + len(step) - 1], step, "valid")
        stop_false = np.exp(np.minimum(log_ratio(np.arange(reachable), k * requests, null, truth), LARGE))
        stops = (weight * stop_false < go_looks + weight * go_false) & (k > 0)
        ahead_looks = np.where(stops, 0.0, go_looks)
        ahead_false = np.where(stops, stop_false, go_false)
    return float(ahead_looks[0]), float(ahead_false[0])


def least_looks(alpha: float, looks: int, requests: int, null: float, truth: float) -> float:
    """Return the least E[min(T, looks)] at the true rate over all rules that roll back at the null rate at most alpha.

    By duality: for any price, expected looks + price * (false rollbacks - alpha) of the rule that is best at that price
    lies below what any allowed rule takes; the best price gives the least exactly, where a rule may throw a coin.

    Args:
        alpha: Bound on the probability of a rollback at the null rate.
        looks: After so many the rollout ends.
        requests: Candidate requests per look.
        null: Rate of a healthy candidate.
        truth: Rate of the candidate.
    """
    low, high = -5.0, 25.0  # of the logarithm of the price
    best = 0.0
    for _ in range(40):
        middle = (low + high) / 2
        looks_, false = _price(math.exp(middle), looks, requests, null, truth)
        best = max(best, looks_ + math.exp(middle) * (false - alpha))
        low, high = (middle, high) if false > alpha else (low, middle)
    return best
