"""Is the candidate's mean too high (or too low), or surely not, however often one looks? Approximate, not exact.

Per look each side tells how many values it has, their mean and their variance. What is summed over looks is the contrast
"candidate's mean less `null` times the stable revision's", each look with the weight n_c n_s / (n_c + n_s). A look is a
stratum: a shared drift cancels, and a moving weight neither makes nor hides a difference. The sum is taken for a Brownian
motion, and a mixture of bets is made against its rising (Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon 2021). That is
right for many values of which none dominates: the promise is asymptotic (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas
2024), unlike that of `proportion`. What keeps it honest with few values stands in `lacking` and `_standing`.
"""

import math
from dataclasses import astuple, dataclass, replace
from typing import Final, Literal, TypeAlias

from scipy.optimize import brentq
from scipy.special import erfcx, log_ndtr, ndtri, stdtr

from assay.stats.moments import Look

Better: TypeAlias = Literal["lower", "higher"]
Lack: TypeAlias = Literal["looks", "values", "precision", "sign", "spread"]

VALUES: Final = 50  # of either side before anything is said
PRECISION: Final = (
    0.2  # and relative standard errors of the means: until then, what is rare and large may not have been seen
)
LOOKS: Final = 5.0  # of equal weight, before anything is said
GAUGE_LOOKS: Final = 10.0  # where looks are all that there is
CLEAR: Final = 2.5  # standard errors at which a difference is clear; there the bet is best
HARM: Final = 0.3  # of the null: so far beyond it, the bet for harm is best; 0.3 to 1 were tried, little depends on it
ROUNDING: Final = 1e-12  # of a mean: what spreads no more than this does not spread
COARSEST: Final = 1e6  # means: an error beyond says nothing
LEAST: Final = 1e-60  # of a mean that is not zero
LATEST: Final = 1e100  # paces
FARTHEST: Final = 1e9  # a ratio beyond is told as infinite


@dataclass(frozen=True, slots=True)
class Rule:
    """A null hypothesis about the ratio of the means candidate / stable, and how surely it must be refuted."""

    null: float
    """Edge of the null hypothesis, a ratio of means."""
    sign: Literal[1, -1]
    """1: the null says at most `null`. -1: the null says at least `null`."""
    clear: float
    """How far beyond `null` the ratio is expected; there the bet is best. No promise depends on it."""
    level: float
    """Bound on the chance of ever refuting the null while it holds, approximately: alpha or beta."""
    gauge: bool
    """Each look is one value: how far it may err is only known from how looks differ."""

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"level is {self.level}: must lie between 0 and 1, both excluded")
        for name, value in (("null", self.null), ("clear", self.clear)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is {value}: must be positive and finite")


@dataclass(frozen=True, slots=True)
class Sums:
    """What is remembered of looks. Of each: weight w, and of both sides (c, s) the count n, mean m and variance v."""

    n_c: int = 0
    n_s: int = 0
    w: float = 0.0
    ww: float = 0.0
    """Sum of w^2; the names below say in the same way what they are the sum of."""
    w_mc: float = 0.0
    w_ms: float = 0.0
    ww_mc: float = 0.0
    ww_ms: float = 0.0
    ww_mc_mc: float = 0.0
    ww_mc_ms: float = 0.0
    ww_ms_ms: float = 0.0
    ww_vc_nc: float = 0.0
    """Of w^2 v_c / n_c: the candidate's part in the variance of the contrast."""
    ww_vs_ns: float = 0.0
    ww_vs_nc: float = 0.0
    """The candidate's part, if its values spread as the stable revision's do."""
    ww_vc_ns: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The whole memory of a rule; 17 finite numbers."""

    sums: Sums
    pace: float
    """The variance of the contrast at which the bet has its scale; 0 until something may be said."""
    refuted: bool


def harm(alpha: float, tolerance: float, better: Better = "lower", *, gauge: bool = False) -> Rule:
    """Roll back: refute "worse by at most `tolerance`", a fraction of the stable revision's mean."""
    null = 1 + tolerance if better == "lower" else 1 - tolerance
    return Rule(null, 1 if better == "lower" else -1, HARM * null, alpha, gauge)


def safety(beta: float, margin: float, better: Better = "lower", *, gauge: bool = False) -> Rule:
    """Promote: refute "worse by at least `margin`", a positive fraction of the stable revision's mean."""
    if better == "lower":
        return Rule(1 + margin, -1, margin, beta, gauge)
    return Rule(1 - margin, 1, margin, beta, gauge)


def start() -> Evidence:
    """Nothing seen yet."""
    return Evidence(Sums(), 0.0, refuted=False)


def reached(evidence: Evidence) -> bool:
    """Whether the null is refuted."""
    return evidence.refuted


def update(rule: Rule, evidence: Evidence, look: Look) -> Evidence:
    """Add one look.

    Args:
        rule: What is to be refuted.
        evidence: So far, from `start` or `update` of the same rule.
        look: Values since the previous look.

    Returns:
        The evidence with this look; the look is left out where a side has no values. Once refuted, refuted, but looks
        are added still, for the estimate. Only a gauge, which decides nothing for good, may be taken back.
    """
    sums = added(evidence.sums, look)
    if (evidence.refuted and not rule.gauge) or lacking(rule, sums):
        return replace(evidence, sums=sums)
    evidence = replace(evidence, sums=sums, pace=evidence.pace or pace_of(rule, sums))
    return replace(evidence, refuted=log_score(rule, evidence) >= -math.log(rule.level))


def score(rule: Rule, evidence: Evidence) -> float:
    """The evidence against the null, out of 1 / level; 1 until something may be said."""
    if evidence.refuted:
        return 1 / rule.level
    if not evidence.pace or lacking(rule, evidence.sums):
        return 1.0
    return math.exp(min(log_score(rule, evidence), -math.log(rule.level)))


def lacking(rule: Rule, sums: Sums) -> Lack | None:
    """What must still be seen before anything is said: few values of a heavy tail look as if there were no tail.

    Returns:
        `looks` or `values`: there are too few. `sign`: the stable revision's mean is not positive, and a fraction of it
        means nothing. `precision`: a mean is not known well. `spread`: all values are the same, so that nobody knows how
        another could be.
    """
    if looks(sums) < (GAUGE_LOOKS if rule.gauge else LOOKS):
        return "looks"
    if sums.w_ms <= LEAST:
        return "sign"
    if not rule.gauge:
        if min(sums.n_c, sums.n_s) < VALUES:
            return "values"
        error = max(sums.ww_vs_ns, sums.ww_vs_nc)  # also the candidate's, should its large values not have come yet
        if PRECISION * sums.w_ms < math.sqrt(error) or PRECISION * abs(sums.w_mc) < math.sqrt(sums.ww_vc_nc):
            return "precision"
    error = math.sqrt(_standing(sums, rule.null)[1]) / sums.w_ms
    if error > COARSEST:
        return "precision"
    return "spread" if error <= ROUNDING else None


def looks(sums: Sums) -> float:
    """Of how many looks of equal weight these are worth (Kish 1965)."""
    return sums.w**2 / sums.ww if sums.ww else 0.0


def estimates(sums: Sums) -> tuple[float, float] | None:
    """The candidate's and the stable revision's mean, both with the weights of the looks; None before the first look."""
    return (sums.w_mc / sums.w, sums.w_ms / sums.w) if sums.w else None


def ratio(sums: Sums) -> float | None:
    """The candidate's mean over the stable revision's; None where that is not positive."""
    return sums.w_mc / sums.w_ms if sums.w_ms > 0 else None


def interval(evidence: Evidence, alpha: float) -> tuple[float, float]:
    """Between which values the ratio of means lies, at all looks together with probability 1 - alpha, approximately.

    All ratios that a two-sided mixture (Robbins 1970) has not refuted (Fieller 1954 for the contrast). For display.

    Returns:
        Low and high; 0 and infinity where nothing bounds that side.
    """
    sums, middle = evidence.sums, ratio(evidence.sums)
    if not evidence.pace or middle is None or not 1 / FARTHEST <= middle <= FARTHEST:
        return 0.0, math.inf

    def excess(at: float) -> float:
        z, variance = _standing(sums, at)
        return abs(z) - two_sided_bound(_clock(variance, evidence), alpha) if variance else math.inf

    if excess(middle) >= 0:
        return middle, middle
    low = float(brentq(excess, 0.0, middle)) if excess(0.0) > 0 else 0.0
    high = float(brentq(excess, middle, FARTHEST)) if excess(FARTHEST) > 0 else math.inf
    return low, high


def log_mixture(z: float, u: float) -> float:
    """Logarithm of the one-sided mixture of bets, at z standard errors, after u times the variance of the pace.

    Bets on a slope are spread as the positive half of a normal law with precision `pace` (Howard et al. 2021, eq. 3.11).
    """
    x = z * math.sqrt(u / (1 + u))
    # Both lines are ln(exp(x^2 / 2) times the normal chance below x); of the wrong one nothing is left but rounding.
    tail = x * x / 2 + float(log_ndtr(x)) if x > 0 else math.log(float(erfcx(-x / math.sqrt(2))) / 2)
    return math.log(2) - math.log1p(u) / 2 + tail


def two_sided_bound(u: float, alpha: float) -> float:
    """How many standard errors refute a value, after u times the variance of the pace (Robbins 1970)."""
    return math.sqrt((1 + u) / u * (math.log1p(u) - 2 * math.log(alpha)))


def precision(variance: float, alpha: float) -> float:
    """The pace with which a one-sided bound at alpha is best at this variance (Howard et al. 2021, section 3.5)."""
    doubt = -2 * math.log(2 * min(alpha, 0.25))
    return variance / (doubt + math.log1p(doubt))


def added(sums: Sums, look: Look) -> Sums:
    """The sums with one more look; the same where a side of it has no values."""
    c, s = look.candidate, look.stable
    if not c.count or not s.count:
        return sums
    w = c.count * s.count / (c.count + s.count)
    more = Sums(
        n_c=c.count,
        n_s=s.count,
        w=w,
        ww=w**2,
        w_mc=w * c.mean,
        w_ms=w * s.mean,
        ww_mc=w**2 * c.mean,
        ww_ms=w**2 * s.mean,
        ww_mc_mc=w**2 * c.mean**2,
        ww_mc_ms=w**2 * c.mean * s.mean,
        ww_ms_ms=w**2 * s.mean**2,
        ww_vc_nc=w**2 * c.variance / c.count,
        ww_vs_ns=w**2 * s.variance / s.count,
        ww_vs_nc=w**2 * s.variance / c.count,
        ww_vc_ns=w**2 * c.variance / s.count,
    )
    return Sums(*(a + b for a, b in zip(astuple(sums), astuple(more), strict=True)))


def log_score(rule: Rule, evidence: Evidence) -> float:
    """Logarithm of the bets' wealth, where nothing is lacking; refuted at 1 / level."""
    z, variance = _standing(evidence.sums, rule.null)
    return log_mixture(rule.sign * z, _clock(variance, evidence))


def _clock(variance: float, evidence: Evidence) -> float:
    """How much variance was seen, of the pace, but no number that cannot be calculated with."""
    return min(max(variance / evidence.pace, 1 / LATEST), LATEST)


def pace_of(rule: Rule, sums: Sums) -> float:
    """The pace with which the bound is best when `clear` is CLEAR standard errors, from what looks told so far."""
    _, variance = _standing(sums, rule.null)
    return precision((CLEAR * variance / (rule.clear * sums.w_ms)) ** 2, rule.level)


def _standing(sums: Sums, at: float) -> tuple[float, float]:
    """By how many standard errors the candidate's mean is above `at` times the other, and the variance of the contrast.

    There are two ways to tell the variance, and the one that says less is believed. From the values within looks, it is
    known well, if they are independent; each side is taken to spread at least as the other does, because the smaller one
    may just not have seen yet what is rare and large. From how looks differ, it is known badly, hence by Student's law,
    but also if values come in clusters (users, batches).
    """
    gap = sums.w_mc - at * sums.w_ms
    within = max(sums.ww_vc_nc, at * at * sums.ww_vs_nc) + max(at * at * sums.ww_vs_ns, sums.ww_vc_ns)
    equal = looks(sums)
    between = between_looks(sums, at) * equal / (equal - 1) if equal > 1 else 0.0
    found = []
    if within > 0:
        found.append((gap / math.sqrt(within), within))
    if between > 0:
        # The normal deviate that is as rare as this one is by Student's law.
        rarity = float(stdtr(equal - 1, -abs(gap) / math.sqrt(between)))
        found.append((math.copysign(float(ndtri(max(rarity, math.ulp(0.0)))), gap), between))
    return min(found, key=lambda one: abs(one[0]), default=(0.0, 0.0))


def between_looks(sums: Sums, at: float) -> float:
    """Sum of w^2 times the squared distance of each look's contrast from their mean."""
    middle = (sums.w_mc - at * sums.w_ms) / sums.w
    squares = sums.ww_mc_mc - 2 * at * sums.ww_mc_ms + at * at * sums.ww_ms_ms
    centred = squares - 2 * middle * (sums.ww_mc - at * sums.ww_ms) + middle * middle * sums.ww
    return centred if centred > 1e-12 * (sums.ww_mc_mc + at * at * sums.ww_ms_ms) else 0.0
