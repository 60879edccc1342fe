"""Up to which moment have all told what they counted, and who is waited for?"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from assay.api.modeldeployment import CounterState
from assay.core.scrapes import Reading, Readings, Target

GONE = 3  # scrapes of another target after the last of one, and that one is waited for no more
NEAR = 0.6  # of the time between two scrapes: half of it, and what the moments of scrapes vary by
PATIENCE = 6  # scrapes since the last look: if at each of them somebody's was lost, it is looked all the same


def in_step(readings: Readings, before: Mapping[Target, CounterState]) -> tuple[Readings, frozenset[Target], str]:
    """Return the readings up to the latest moment of which all targets have told, each up to that which is nearest to it.

    What a target counted around a lost scrape comes with its next one. Had the others been counted on their own meanwhile,
    looks would compare different stretches of time, and a burst that came to both revisions would seem to be one's own.

    Returns:
        The readings; the targets that nobody waits for any more, which begin anew if they come back; and the pod that the
        others wait for, if any.
    """
    horizon = max((found[-GONE].time for found in readings.values() if len(found) >= GONE), default=-math.inf)
    newest = {target: found[-1].time for target, found in readings.items()}
    gone = frozenset(target for target in readings if newest[target] < horizon)
    known = before.keys() & readings.keys()
    waited = {target: readings[target] for target in known - gone or readings.keys() - gone}
    if not waited:
        return readings, gone, ""
    since = {target: before[target].time if target in before else -math.inf for target in waited}
    slowest = min(waited, key=lambda target: (newest[target], target))
    between = min(_between(found, since[target]) for target, found in waited.items())
    until = _together(waited, since, slowest, NEAR * between)
    end = newest[slowest] if until is None else until
    kept = {target: found[: _nearest(found, end) + 1] for target, found in readings.items()}
    told = any(newest[target] > before[target].time for target in known)
    spent = max(newest[target] for target in waited) - max(since.values())
    waits = told and until is None and spent < PATIENCE * between
    return kept, gone, slowest[0] if waits else ""


def _together(waited: Readings, since: Mapping[Target, float], slowest: Target, near: float) -> float | None:
    """Return the latest moment since the last look near which each was scraped; None where there is none."""
    for moment in reversed([one.time for one in waited[slowest]]):
        nearest = {target: found[_nearest(found, moment)].time for target, found in waited.items()}
        if all(since[one] < at and abs(at - moment) <= near for one, at in nearest.items()):
            return moment
    return None


def _between(readings: Sequence[Reading], since: float) -> float:
    """Return the shortest time between two scrapes, that of the last look among them; infinity where there is but one."""
    times = sorted({since, *(one.time for one in readings)})
    return min((b - a for a, b in pairwise(times)), default=math.inf)


def _nearest(readings: Sequence[Reading], moment: float) -> int:
    return min(range(len(readings)), key=lambda at: abs(readings[at].time - moment))
