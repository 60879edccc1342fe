"""Is the candidate slower, as a histogram tells it?

Two tests share the level of a check: one of ranks, over the whole distribution, and one of the share beyond the bound that
is nearest to the wanted quantile, which goes through the same processes as any proportion. Both look at what the stable
revision would be, were it slower by the tolerance.
"""

import math
from collections.abc import Sequence
from dataclasses import astuple
from typing import NamedTuple

from assay.api.checks import DEFAULT_TOLERANCE, Check
from assay.api.modeldeployment import CheckStatus, QuantileState, RanksState
from assay.core import dispersion
from assay.core.evidence import Counted
from assay.core.hypotheses import Trial
from assay.core.scrapes import Readings
from assay.core.sentences import span
from assay.stats import buckets, latency, wilcoxon
from assay.stats.boundary import Density
from assay.stats.buckets import Histogram
from assay.stats.latency import Interval, Latencies
from assay.stats.proportion import Look
from assay.stats.severity import Graded
from assay.stats.wilcoxon import Ranks

KNOWN = 20  # events of stable beyond its quantile, by which that is known well enough
NEARLY = 0.99  # of what decides, at most, while no bound was crossed
LEVEL = 0.05  # of the interval that is shown


class Seen(NamedTuple):
    """One look at a histogram, as proportions beyond the bound."""

    counted: Look
    """As counted."""
    weighed: Look
    """Less what requests that fail together say twice."""
    tolerated: Graded
    """The same, the stable revision slowed by the tolerance, and how many took twice as long as the bound."""


def tolerance(check: Check) -> float:
    """Return how much slower is no harm: 0.10 for ten percent."""
    given = check.tolerance.relative if check.tolerance is not None else None
    return float(given or DEFAULT_TOLERANCE)


def quantile_of(check: Check) -> float:
    """Return the quantile that a check is about: 0.95 for what 95 percent do not exceed."""
    return float(check.quantile or 1)


def begin(check: Check, status: CheckStatus, readings: Readings) -> CheckStatus:
    """Fix the bound, once, by what the stable revision had counted before the looks; where that is too little, later."""
    targets = [target[0] for target in readings.values() if target]
    stable = [sum(numbers) for numbers in zip(*(one.stable for one in targets), strict=True)]
    wanted = quantile_of(check)
    if status.quantile is not None or not stable or stable[-1] * (1 - wanted) < KNOWN:
        return status
    bounds = list(targets[0].bounds)
    state = QuantileState(bounds=bounds, bound=bounds[_nearest(stable, wanted)])
    return status.model_copy(update={"quantile": state})


def _nearest(cumulative: Sequence[float], wanted: float) -> int:
    """Return the place of the finite bound up to which the share that is wanted has come, or nearly."""
    return min(range(len(cumulative) - 1), key=lambda at: abs(cumulative[at] / cumulative[-1] - wanted))


def begin_step(status: CheckStatus, step: int) -> QuantileState | None:
    """Return the state without what was counted: sums over looks with different weights compare nothing (Simpson 1951).

    The ranks begin anew with a step that has not been, and no more often: each beginning is a test, with a part of the level.
    """
    known = status.quantile
    if known is None:
        return None
    state = known.model_copy(update={"candidate": [], "stable": [], "step": max(step, known.step)})
    return state if step <= known.step else state.model_copy(update={"ranks": RanksState()})


def changed(status: CheckStatus, counted: Counted) -> str:
    """Return why a look cannot be compared with those before it, or an empty string."""
    if status.quantile is None or tuple(status.quantile.bounds) == counted.bounds:
        return ""
    return "the histogram has other buckets than when the rollout began"


def at_bound(check: Check, status: CheckStatus, readings: Readings) -> Readings:
    """Return a histogram's readings as a proportion: the share beyond the bound, or, before it is fixed, beyond stable's quantile."""
    targets = [target[-1] for target in readings.values() if target]
    stable = [sum(numbers) for numbers in zip(*(one.stable for one in targets), strict=True)]
    if not stable or not stable[-1]:
        return {}
    place = _nearest(stable, quantile_of(check))
    if status.quantile is not None and tuple(status.quantile.bounds) == targets[0].bounds:
        place = status.quantile.bounds.index(status.quantile.bound)
    return {target: tuple(one.slower(place) for one in found) for target, found in readings.items()}


def added(check: Check, status: CheckStatus, look: Histogram, trial: Trial) -> tuple[QuantileState, Seen]:
    """Return the state with one more look, in which both revisions had events, and what is beyond the bound."""
    bounds = list(look.bounds[:-1])
    state = status.quantile or QuantileState(bounds=bounds, bound=buckets.nearest_bound(look, quantile_of(check)))
    old, slower = _latencies(state), 1 + tolerance(check)
    new = latency.update(old, look)
    ranks = wilcoxon.update(level(trial), _ranks(state), buckets.slowed(look, slower), status.dispersion or 1.0)
    (before, after), (before_slowed, after_slowed) = (
        (_slow(old, state.bound, factor), _slow(new, state.bound, factor)) for factor in (1.0, slower)
    )
    weighed = dispersion.weighed(astuple(before), astuple(after), status.dispersion)
    tolerated = dispersion.graded(before_slowed, after_slowed, status.dispersion)
    seen = Seen(buckets.slow(look, state.bound), weighed, tolerated)
    counts = {"candidate": list(new.candidate), "stable": list(new.stable), "ranks": _ranks_state(ranks)}
    state = state.model_copy(update=counts)
    return state.model_copy(update={"harm": _share(check, state, trial)}), seen


def _slow(counts: Latencies, bound: float, factor: float) -> Graded:
    """Return how many requests so far were beyond the bound, and twice as slow, the stable revision slowed by a factor."""
    if not counts.candidate:
        return Graded(0, 0, 0, 0, 0, 0)
    whole = Histogram((*counts.bounds, math.inf), counts.candidate, counts.stable)
    return buckets.graded(buckets.slowed(whole, factor), bound)


def level(trial: Trial) -> float:
    """Return the level of one rank test: half of the check's, over the steps, with each of which it begins anew."""
    return trial.alpha / 2 / trial.tests


def told(check: Check, status: CheckStatus) -> dict[str, str]:
    """Return what the histograms of this weight step say of the quantile, as a person reads it."""
    state = status.quantile
    found = None if state is None else latency.estimates(_latencies(state), quantile_of(check))
    if state is None or found is None:
        return {"estimate_candidate": "", "estimate_stable": "", "effect": "", "interval": ""}
    candidate, stable = found
    within = latency.intervals(_latencies(state), quantile_of(check), LEVEL)
    low, high = _ratio_interval(check, state, LEVEL)
    return {
        "estimate_candidate": f"{candidate:.3g} ({span(*within[0])})",
        "estimate_stable": f"{stable:.3g} ({span(*within[1])})",
        "effect": f"{candidate / stable:.3g}" if stable else "",
        "interval": span(low, high),
    }


def standing(state: QuantileState) -> str:
    """Return the ranks' evidence as people read it."""
    seen, bound = wilcoxon.standing(_ranks(state))
    decides = "decides at no number yet" if bound is None else f"of {bound:.2g}"
    return f"ranks {seen:.2g} standard errors {decides}"


def _share(check: Check, state: QuantileState, trial: Trial) -> float:
    """Return the ranks' evidence of harm: how much less likely than the sum that was seen the bound is.

    Ranks show that the candidate is slower; harm is that only if its quantile is so beyond the tolerance. With a tolerance
    of 0 anything slower is harm.
    """
    allowed = tolerance(check)
    if state.harm == 1:
        return 1.0  # never begun anew
    if state.ranks.refuted:
        beyond = allowed == 0 or _ratio_interval(check, state, level(trial))[0] >= 1 + allowed
        return 1.0 if beyond else 0.0
    seen, bound = wilcoxon.standing(_ranks(state))
    if bound is None or seen <= 0:
        return 0.0
    return min(math.exp((seen * seen - bound * bound) / 2), NEARLY)


def _ratio_interval(check: Check, state: QuantileState, alpha: float) -> Interval:
    return latency.ratio_interval(_latencies(state), quantile_of(check), alpha)


def _latencies(state: QuantileState) -> Latencies:
    if not state.candidate:
        return latency.start()
    return Latencies(tuple(state.bounds), tuple(state.candidate), tuple(state.stable))


def _ranks(state: QuantileState) -> Ranks:
    kept = state.ranks
    if not kept.information:
        return wilcoxon.start()
    numbers = (kept.excess, kept.information, kept.third, kept.scale, kept.spent, kept.tested)
    density = Density(kept.lowest, kept.highest, tuple(kept.density))
    return Ranks(tuple(state.bounds), *numbers, density, kept.refuted)


def _ranks_state(ranks: Ranks) -> RanksState:
    density = ranks.density
    return RanksState(
        excess=ranks.excess,
        information=ranks.information,
        third=ranks.third,
        scale=ranks.scale,
        spent=ranks.spent,
        tested=ranks.tested,
        lowest=density.lowest,
        highest=density.highest,
        density=list(density.values),
        refuted=ranks.refuted,
    )
