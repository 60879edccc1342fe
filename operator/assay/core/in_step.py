"""Up to which moment have all told what they counted, and who is waited for?"""

import math
from collections.abc import Mapping, Sequence

from assay.api.modeldeployment import CounterState
from assay.core.scrapes import Reading, Readings, Target

GONE = 3  # scrapes of another target after the last of one, and that one is waited for no more


def in_step(readings: Readings, before: Mapping[Target, CounterState]) -> tuple[Readings, frozenset[Target], str]:
    """Return the readings up to a moment of which all targets have told, each up to the reading that is nearest to it.

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
    until = min((newest[target] for target in known - gone or readings.keys() - gone), default=0.0)
    kept = {target: _up_to(until, found) for target, found in readings.items()}
    stay = [target for target in known - gone if kept[target][-1].time <= before[target].time]
    if not any(newest[target] > before[target].time for target in known):
        return kept, gone, ""  # nobody told anything
    return kept, gone, min(stay, key=lambda target: (newest[target], target), default=("", ""))[0]


def _up_to(until: float, readings: Sequence[Reading]) -> tuple[Reading, ...]:
    nearest = min(range(len(readings)), key=lambda at: abs(readings[at].time - until))
    return tuple(readings[: nearest + 1])
