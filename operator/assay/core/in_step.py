"""Up to which moment have all told what they counted, and who is waited for?"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from assay.api.modeldeployment import CounterState
from assay.core.scrapes import Reading, Readings, Target

GONE = 3  # scrapes of another target after the last of one, and that one is waited for no more
NEAR = 0.6  # of the time between two scrapes of a target: half of it, and what the moments of scrapes vary by
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
    since = {target: before[target].time if target in before else -math.inf for target in waited}
    until = _together(waited, since)
    slowest = min(((newest[target], target) for target in waited), default=(0.0, ("", "")))
    kept = {target: _up_to(slowest[0] if until is None else until, found) for target, found in readings.items()}
    if not any(newest[target] > before[target].time for target in known):
        return kept, gone, ""  # nobody told anything
    if until is None and not _waited_long(waited, since):
        return kept, gone, slowest[1][0]
    late = [target for target in known - gone if kept[target][-1].time <= since[target]]
    return kept, gone, min(late, key=lambda target: (newest[target], target), default=("", ""))[0]


def _together(waited: Readings, since: Mapping[Target, float]) -> float | None:
    """Return the latest moment since the last look near which each was scraped; None where there is none."""
    _, slowest = min(((found[-1].time, target) for target, found in waited.items()), default=(0.0, None))
    moments = [] if slowest is None else [one.time for one in waited[slowest] if one.time > since[slowest]]
    near = {target: NEAR * _between(found, since[target]) for target, found in waited.items()}
    for moment in reversed(moments):
        nearest = {target: _up_to(moment, found)[-1].time for target, found in waited.items()}
        if all(since[one] < at and abs(at - moment) <= near[one] for one, at in nearest.items()):
            return moment
    return None


def _waited_long(waited: Readings, since: Mapping[Target, float]) -> bool:
    """Return whether so many scrapes were lost that no moment of which all told is to be expected."""
    spent = max(found[-1].time for found in waited.values()) - max(since.values())
    return spent >= PATIENCE * min(_between(found, since[target]) for target, found in waited.items())


def _between(readings: Sequence[Reading], since: float) -> float:
    """Return the shortest time between two scrapes, that of the last look among them; infinity where there is but one."""
    times = sorted({since, *(one.time for one in readings)})
    return min((b - a for a, b in pairwise(times)), default=math.inf)


def _up_to(until: float, readings: Sequence[Reading]) -> tuple[Reading, ...]:
    nearest = min(range(len(readings)), key=lambda at: abs(readings[at].time - until))
    return tuple(readings[: nearest + 1])
