"""What was counted since the last look, exactly, from raw cumulative counters?

    series of one pod ──> readings at the pod's scrapes ──> differences since the last look ──> one Look

Nothing here is estimated: a reading that cannot be trusted yields no number at all.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from assay.api.modeldeployment import CounterState
from assay.core.decision import Missing, Series
from assay.core.names import METRIC_REVISION
from assay.stats.proportion import Look

MOST_PODS = 256  # counters that fit into status

Pair: TypeAlias = tuple[int, int]
"""(bad, total)"""
_Values: TypeAlias = Mapping[float, Mapping[str, int]]
"""Time of a scrape -> revision -> sum of the counters."""


@dataclass(frozen=True, slots=True)
class Arms:
    """The two revisions that are compared."""

    stable: str
    candidate: str


@dataclass(frozen=True, slots=True)
class Events:
    """The series of one check."""

    bad: tuple[Series, ...]
    total: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """One pod's cumulative counters at one scrape."""

    time: float
    """Seconds since the epoch, by Prometheus' clock."""
    stable: Pair
    candidate: Pair

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """All four, for comparisons and sums."""
        return (*self.stable, *self.candidate)


Readings: TypeAlias = Mapping[str, tuple[Reading, ...]]
"""Pod -> its readings, oldest first."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The outcome of a look: what to add, and what the next look subtracts."""

    look: Look
    counters: tuple[CounterState, ...]
    fresh: bool
    """Whether any pod told anything newer than the last look."""
    stable_seen: bool
    """Whether a pod that told something newer has ever counted an event of the stable revision."""
    candidate_seen: bool
    """The same of the candidate."""


def read(events: Events, arms: Arms) -> Readings | Missing:
    """Return each pod's readings.

    A class without a series at a scrape counts as 0: a counter appears with its first increment.

    Returns:
        The readings; Missing where bad events were not scraped together with all events, or exceed them, for then no
        proportion can be read from them.
    """
    totals, bads = _by_pod(events.total, arms), _by_pod(events.bad, arms)
    found: dict[str, tuple[Reading, ...]] = {}
    for pod in sorted(totals.keys() | bads.keys()):
        total, bad = totals.get(pod, {}), bads.get(pod, {})
        if bad.keys() - total.keys():
            return Missing(f"pod {pod} exports bad events apart from all events; both must come from the same scrape")
        found[pod] = tuple(_reading(at, bad.get(at, {}), total[at], arms) for at in sorted(total))
        if any(one.stable[0] > one.stable[1] or one.candidate[0] > one.candidate[1] for one in found[pod]):
            return Missing(f"pod {pod} counts more bad events than events; bad must select a part of total")
    return found


def _by_pod(series: Iterable[Series], arms: Arms) -> Mapping[str, _Values]:
    found: dict[str, dict[float, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    for one in series:
        revision, pod = one.labels.get(METRIC_REVISION), one.labels.get("pod")
        if pod and revision in (arms.stable, arms.candidate):
            for at, value in one.samples:
                found[pod][at][revision] += round(value)
    return found


def _reading(at: float, bad: Mapping[str, int], total: Mapping[str, int], arms: Arms) -> Reading:
    stable, candidate = ((bad.get(arm, 0), total.get(arm, 0)) for arm in (arms.stable, arms.candidate))
    return Reading(at, stable, candidate)


def count(known: Sequence[CounterState], readings: Readings, floor: float) -> Counted:
    """Return what was counted since the last look.

    A pod that was not known, or was last read before `floor`, is baselined at its first reading after it: what it
    counted until then belongs to another weight, or to nobody knows when.

    Args:
        known: Counters at the last look.
        readings: From `read`.
        floor: Seconds since the epoch; readings up to then count nothing.
    """
    before = {one.pod: _remembered(one) for one in known if one.time > floor}
    sums, last, newer = [0, 0, 0, 0], {}, []
    for pod in _chosen(readings, before):
        previous = before.get(pod)
        for reading in readings[pod]:
            if reading.time <= max(floor, previous.time if previous else floor):
                continue
            if previous is not None:
                sums = [a + b for a, b in zip(sums, _difference(previous, reading), strict=True)]
            previous = reading
            newer.append(reading)
        if previous is not None:
            last[pod] = previous
    look = Look(candidate_total=sums[3], candidate_bad=sums[2], stable_total=sums[1], stable_bad=sums[0])
    return Counted(
        look,
        tuple(_to_state(pod, reading) for pod, reading in sorted(last.items())),
        fresh=bool(newer),
        stable_seen=any(one.stable[1] for one in newer),
        candidate_seen=any(one.candidate[1] for one in newer),
    )


def _chosen(readings: Readings, before: Mapping[str, Reading]) -> list[str]:
    """Return at most as many pods as fit into status: first the known, then by the random end of their names.

    By the whole name, one revision's pods would come before the other's.
    """
    return sorted(readings, key=lambda pod: (pod not in before, pod[::-1]))[:MOST_PODS]


def _difference(previous: Reading, reading: Reading) -> tuple[int, int, int, int]:
    """Return what a pod counted between two readings; after a reset, all that it has counted since.

    A pod's counters begin anew together, so one that fell betrays all. A part that grew by more than the whole betrays
    a reset after which the pod overtook its old numbers.
    """
    old, new = previous.numbers, reading.numbers
    grown = (new[0] - old[0], new[1] - old[1], new[2] - old[2], new[3] - old[3])
    if min(grown) < 0 or grown[0] > grown[1] or grown[2] > grown[3]:
        return new
    return grown


def _remembered(state: CounterState) -> Reading:
    (a, b), (c, d) = state.stable, state.candidate
    return Reading(state.time, (a, b), (c, d))


def _to_state(pod: str, reading: Reading) -> CounterState:
    return CounterState(pod=pod, time=reading.time, stable=list(reading.stable), candidate=list(reading.candidate))
