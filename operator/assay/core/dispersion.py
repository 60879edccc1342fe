"""How did requests to the stable revision fail in the hour before the rollout: one by one, or together?"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from assay.api.checks import Check, CheckPreset
from assay.api.modeldeployment import Analysis, CheckStatus
from assay.core.decision import Missing
from assay.core.hypotheses import Trial
from assay.core.scrapes import Readings
from assay.stats.dispersion import HOPELESS, Pair, dispersion, effective, factor
from assay.stats.proportion import Look
from assay.stats.severity import Graded

Strata: TypeAlias = Mapping[tuple[float, float], list[Pair]]
"""(begin, end) of a half minute -> what each pod counted in it."""
AT_ONCE = (CheckPreset.ERROR_RATIO, CheckPreset.LATENCY)
"""Checks on routers, of which each counts both revisions: a scrape shows both at the same moment."""
HourBefore: TypeAlias = Callable[[], Readings | Missing]
"""Reads what the counters of a check said in the hour before the rollout."""


def unmeasured(analysis: Analysis, statuses: Sequence[CheckStatus]) -> list[Check]:
    """Return the checks of which the hour before must be read before they may count.

    How values differ from look to look tells a check of values as much.
    """
    known = {one.name for one in statuses if one.dispersion or one.totals}
    return [check for check in analysis.checks if check.name not in known and not check.of_values]


def with_dispersion(check: Check, status: CheckStatus, before: HourBefore, trial: Trial) -> tuple[CheckStatus, str]:
    """Fix the divisor of the counts, once, before anything counts; return also why that cannot be done, or an empty string.

    A rollout that an operator without it began goes on as it began, undivided.
    """
    if status.dispersion or status.totals:
        return status, ""
    readings, given = before(), trial.analysis.dispersion
    pods = {} if isinstance(readings, Missing) else strata(readings)
    seen = sums(pods)
    if given:
        return status.model_copy(update={"dispersion": float(given), "before": seen}), ""
    if isinstance(readings, Missing):
        return status, f"the hour before could not be read: {readings.reason}"
    measured = dispersion(list(pods.values()))
    if measured is None and check.preset not in AT_ONCE:
        measured = _alone(pods)
    if measured is not None and measured > HOPELESS:
        told = f"pods of the stable revision differed {measured:.0f} times more than chance in the hour before"
        return status, f"{told}, so that requests are no evidence: count users or sessions, or set analysis.dispersion"
    return status.model_copy(update={"dispersion": factor(measured), "before": seen}), ""


def _alone(pods: Strata) -> float | None:
    """Return the dispersion by a pod that has no peer: each half minute is compared with the one before.

    The candidate's pods are scraped at other moments than this one, and what comes to both then seems to come to one first.
    To read them half a minute apart overstates that, so it never makes requests hopeless as evidence.
    """
    counted = [[pair for pair in pairs if pair[1]] for _, pairs in sorted(pods.items())]
    if any(len(pairs) > 1 for pairs in counted):
        return None
    alone = [pair for pairs in counted for pair in pairs]
    measured = dispersion(list(zip(alone[::2], alone[1::2], strict=False)))
    return None if measured is None else min(measured, HOPELESS)


def sums(pods: Strata) -> list[int]:
    """Return [bad, total, seconds] of the stable revision; what a pod counted across a restart is left out."""
    grown = [pair for stratum in pods.values() for pair in stratum]
    if not grown:
        return []
    seconds = max(end for _, end in pods) - min(begin for begin, _ in pods)
    return [sum(bad for bad, _ in grown), sum(total for _, total in grown), round(seconds)]


def strata(readings: Readings) -> Strata:
    """Return (bad, total) of the stable revision for each half minute and each pod that was there throughout.

    A pod whose counters fell in between tells nothing of that half minute.
    """
    found: dict[tuple[float, float], list[Pair]] = defaultdict(list)
    for target in readings.values():
        for before, after in pairwise(target):
            grown = tuple(new - old for new, old in zip(after.stable, before.stable, strict=True))
            bad, total = after.kinds.pair(grown)
            if 0 <= bad <= total:
                found[before.time, after.time].append((bad, total))
    return found


def weighed(old: Sequence[int], new: Sequence[int], divisor: float) -> Look:
    """Return what a look says: what was counted, less what requests that fail together say twice.

    Args:
        old: [candidate total, candidate bad, stable total, stable bad] before the look.
        new: The same after it.
        divisor: The dispersion; 0 where the rollout began without one.
    """
    numbers = []
    for place in (0, 2):
        before, after = (effective((sums[place + 1], sums[place]), divisor or 1.0) for sums in (old, new))
        numbers += [after[1] - before[1], after[0] - before[0]]
    return Look(*numbers)


def graded(old: Graded, new: Graded, divisor: float) -> Graded:
    """Return what a look says of good, bad and worse requests, each rounded for itself; from all before and after it."""
    before, after = ([round(cell / (divisor or 1.0)) for cell in _cells(sums)] for sums in (old, new))
    good, bad, worse, stable_good, stable_bad, stable_worse = (b - a for a, b in zip(before, after, strict=True))
    candidate, stable = bad + worse, stable_bad + stable_worse
    return Graded(good + candidate, candidate, stable_good + stable, stable, worse, stable_worse)


def _cells(sums: Graded) -> tuple[int, ...]:
    """Return how many requests were good, bad and no more, and worse: of the candidate and of stable."""
    return (
        sums.candidate_total - sums.candidate_bad,
        sums.candidate_bad - sums.candidate_worse,
        sums.candidate_worse,
        sums.stable_total - sums.stable_bad,
        sums.stable_bad - sums.stable_worse,
        sums.stable_worse,
    )
