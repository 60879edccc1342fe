"""What was counted since the last look, exactly, from raw cumulative counters?

    series of one target ──> readings at its scrapes ──> differences per series since the last look ──> one Look

A target is what Prometheus scrapes: usually a pod, or one of several ports of it. Nothing here is estimated: a reading
that cannot be trusted yields no number at all.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from assay.api.modeldeployment import CounterState
from assay.core.decision import Missing, Series
from assay.core.kinds import PROPORTION, UNLABELLED, Kinds, Numbers
from assay.core.names import METRIC_REVISION
from assay.stats.buckets import Histogram
from assay.stats.moments import LARGEST
from assay.stats.proportion import Look

MOST_TARGETS = 256  # counters that fit into status
MOST_COUNTED = 2**53 - 1  # events
MOST_NUMBERS = 8_192  # the same, of histograms

Target: TypeAlias = tuple[str, str]
"""(pod, digest of the labels `instance` and `job`): series of one target are scraped at the same instant."""
Place: TypeAlias = tuple[int, int]
"""(index into `Numbers`, number of the series)"""


@dataclass(frozen=True, slots=True)
class Arms:
    """The two revisions that are compared."""

    stable: str
    candidate: str


@dataclass(frozen=True, slots=True)
class Events:
    """The series of one check."""

    series: tuple[tuple[Series, ...], ...]
    """Those of each kind."""
    kinds: Kinds = PROPORTION
    bounds: tuple[float, ...] = ()
    """The finite bounds of a histogram."""

    @staticmethod
    def proportion(bad: tuple[Series, ...], total: tuple[Series, ...], unlabelled: tuple[Series, ...] = ()) -> "Events":
        """Return bad events of all; `unlabelled` are predictions whose label did not come in time, no part of `total`."""
        return Events((bad, total, unlabelled))


@dataclass(frozen=True, slots=True)
class Reading:
    """One target's cumulative counters at one scrape."""

    time: float
    """Seconds since the epoch, by Prometheus' clock."""
    numbers: Numbers
    series: Mapping[Place, float] = field(default_factory=dict)
    """What the numbers are sums of."""
    kinds: Kinds = PROPORTION
    bounds: tuple[float, ...] = ()
    """The finite bounds of a histogram."""

    @property
    def stable(self) -> Numbers:
        """Of the stable revision."""
        return self.numbers[: self.kinds.width]

    @property
    def candidate(self) -> Numbers:
        """Of the candidate."""
        return self.numbers[self.kinds.width :]

    def shows(self, side: Numbers) -> bool:
        """Return whether one side of it tells of any event."""
        return any(side[place] > 0 for place in self.kinds.events)

    def slower(self, place: int) -> "Reading":
        """Return, of a histogram, the events beyond a bound as bad ones of all."""
        pairs = [(side[-1] - side[place], side[-1], 0) for side in (self.stable, self.candidate)]
        return Reading(self.time, (*pairs[0], *pairs[1]))


Readings: TypeAlias = Mapping[Target, tuple[Reading, ...]]
"""Target -> its readings, oldest first; all of the same kinds."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The outcome of a look: what to add, and what the next look subtracts."""

    stable: Numbers
    """What the stable revision counted, of each kind."""
    candidate: Numbers
    """What the candidate counted."""
    kinds: Kinds
    bounds: tuple[float, ...]
    """The finite bounds of a histogram."""
    counters: tuple[CounterState, ...]
    fresh: bool
    """Whether any target told anything newer than the last look."""
    stable_seen: bool
    """Whether a target that told something newer has ever counted an event of the stable revision."""
    candidate_seen: bool
    """The same of the candidate."""

    @property
    def look(self) -> Look:
        """A proportion as evidence."""
        (bad, total), (stable_bad, stable_total) = self.kinds.pair(self.candidate), self.kinds.pair(self.stable)
        return Look(total, bad, stable_total, stable_bad)

    @property
    def histogram(self) -> Histogram:
        """A histogram as evidence."""
        sides = (np.diff(side, prepend=0).astype(int).tolist() for side in (self.candidate, self.stable))
        return Histogram((*self.bounds, math.inf), *map(tuple, sides))

    @property
    def unlabelled(self) -> tuple[int, int]:
        """Predictions of the candidate and of stable without a label in time; no part of the look."""
        return int(self.candidate[UNLABELLED]), int(self.stable[UNLABELLED])

    @property
    def events(self) -> tuple[int, int]:
        """All events of the candidate and of stable, with and without a label."""
        candidate, stable = (int(sum(side[at] for at in self.kinds.events)) for side in (self.candidate, self.stable))
        return candidate, stable


def read(events: Events, arms: Arms) -> Readings | Missing:
    """Return each target's readings.

    A class without a series at a scrape counts as 0: a counter appears with its first increment.

    Returns:
        The readings; Missing where bad events were not scraped together with all events, or exceed them, for then no
        proportion can be read from them.
    """
    values: dict[Target, dict[float, dict[Place, float]]] = defaultdict(lambda: defaultdict(dict))
    kinds = events.kinds
    for kind, series in enumerate(events.series):
        for number, one in enumerate(series):
            revision, pod = one.labels.get(METRIC_REVISION), one.labels.get("pod")
            if pod and revision in (arms.stable, arms.candidate):
                place = (kind if revision == arms.stable else kinds.width + kind, number)
                for at, value in one.samples:
                    values[pod, _digest(one)][at][place] = value if kind in kinds.sums else round(value)
    found: dict[Target, tuple[Reading, ...]] = {}
    for target in sorted(values):
        times = sorted(values[target])
        found[target] = tuple(
            Reading(at, _summed(values[target][at].items(), kinds), values[target][at], kinds, events.bounds)
            for at in times
        )
        why = next((why for one in found[target] if (why := _doubt(one))), "")
        if why:
            return Missing(f"pod {target[0]} {why}")
    return found


def _digest(series: Series) -> str:
    """Return what tells the targets of one pod apart; empty where Prometheus does not name them."""
    labels = [series.labels.get(label, "") for label in ("instance", "job")]
    return hashlib.sha256("\n".join(labels).encode()).hexdigest()[:8] if any(labels) else ""


def _doubt(reading: Reading) -> str:
    """Return why a reading cannot be trusted, or an empty string."""
    kinds = reading.kinds
    there = {index % kinds.width for index, _ in reading.series}
    counts = [number for index, number in enumerate(reading.numbers) if index % kinds.width not in kinds.sums]
    if min(counts) < 0 or max(counts) > MOST_COUNTED:
        return "counts less than nothing, or more than can be counted exactly"
    for place in kinds.sums:
        if any(abs(side[place]) > LARGEST for side in (reading.stable, reading.candidate)):
            return f"tells of a {kinds.names[place]} beyond {LARGEST:g}, with which nobody can calculate"
    for part, whole in kinds.parts:
        if part in there and whole not in there:
            return f"exports {kinds.names[part]} apart from {kinds.names[whole]}; both must come from the same scrape"
        if any(side[part] > side[whole] for side in (reading.stable, reading.candidate)):
            return f"counts more {kinds.names[part]} than {kinds.names[whole]}, of which they must be a part"
    return ""


def _exceeds(numbers: Numbers, kinds: Kinds) -> bool:
    """Return whether some part exceeds its whole."""
    return any(numbers[at + part] > numbers[at + whole] for at in (0, kinds.width) for part, whole in kinds.parts)


def count(known: Sequence[CounterState], readings: Readings, floor: float) -> Counted:
    """Return what was counted since the last look.

    A target that was not known, or was last read before `floor`, is baselined at its first reading after it: what it
    counted until then belongs to another weight, or to nobody knows when.

    Args:
        known: Counters at the last look.
        readings: From `read`.
        floor: Seconds since the epoch; readings up to then count nothing.
    """
    before = {(one.pod, one.target): one for one in known if one.time > floor}
    first = next((one for target in readings.values() for one in target), Reading(0.0, (), {}))
    kinds = first.kinds
    sums, newer, counters = _nothing(kinds), [], []
    for target in chosen(readings, before, kinds):
        state = before.get(target)
        since = max(floor, state.time if state else floor)
        fresh = [one for one in readings[target] if one.time > since]
        sums = _sum(sums, _grown(readings[target], state, since, kinds))
        newer += fresh
        if fresh:
            counters.append(to_state(target, fresh[-1]))
        elif state is not None:
            counters.append(state)
    return Counted(
        sums[: kinds.width],
        sums[kinds.width :],
        kinds,
        first.bounds,
        tuple(sorted(counters, key=lambda one: (one.pod, one.target))),
        fresh=bool(newer),
        stable_seen=any(one.shows(one.stable) for one in newer),
        candidate_seen=any(one.shows(one.candidate) for one in newer),
    )


def chosen(readings: Readings, before: Mapping[Target, CounterState], kinds: Kinds) -> list[Target]:
    """Return as many targets as fit into status: of each revision first the known, then by the random end of the pods' names.

    By the whole name, one revision's pods would come before the other's.
    """
    found = sorted(readings, key=lambda one: (one not in before, one[0][::-1], one[1]))
    turns: Counter[tuple[bool, bool]] = Counter()
    rank: dict[Target, int] = {}
    for one in found:  # targets of either revision, and of both, take turns: none may be missing for want of room
        latest = readings[one][-1]
        sides = latest.shows(latest.stable), latest.shows(latest.candidate)
        rank[one] = turns[sides]
        turns[sides] += 1
    return sorted(found, key=lambda one: rank[one])[: _most_targets(kinds)]


def _most_targets(kinds: Kinds) -> int:
    return min(MOST_TARGETS, MOST_NUMBERS // (2 * kinds.width))


def _grown(readings: Sequence[Reading], state: CounterState | None, since: float, kinds: Kinds) -> Numbers:
    """Return what one target counted after `since`, from scrape to scrape.

    Scrapes up to then are read too, if Prometheus still has them: they are what the next one is subtracted from, series
    by series. Where the last look's own scrape is not among them, only its sums are known.
    """
    sums, previous = _nothing(kinds), None
    values: dict[Place, float] = {}  # the last value of every series of this life, those that ended included
    base = state.time if state else None
    for reading in readings:
        anew = previous is not None and _began_anew(previous, values, reading)
        if reading.time > since:
            if base is None:
                base = reading.time
            elif previous is None or previous.time < base:
                sums = _sum(sums, _by_sums(state, reading))
            elif anew or not _joined(values, reading):
                sums = _sum(sums, reading.numbers if anew else _difference(values, reading))
        values = {**({} if anew else values), **reading.series}
        previous = reading
    return sums


def _began_anew(previous: Reading, values: Mapping[Place, float], reading: Reading) -> bool:
    """Return whether a target's counters were reset; they begin anew together, so one that fell betrays all.

    A series that ended did not fall. A part that grew by more than the whole betrays a reset after which the target
    overtook its old numbers. A sum of values may fall without one.
    """
    kinds = reading.kinds
    counts = (one for one in reading.series.items() if not _may_fall(one[0], kinds))
    if kinds.coarsens:
        counts = (one for one in counts if one[0][0] % kinds.width in kinds.events)
    if any(value < previous.series.get(place, 0) for place, value in counts):
        return True
    return not kinds.coarsens and _exceeds(_difference(values, reading), kinds)


def _joined(values: Mapping[Place, float], reading: Reading) -> bool:
    """Return whether buckets were joined since the last scrape: then nobody knows in which of them events were counted."""
    return reading.kinds.coarsens and any(value < values.get(place, 0) for place, value in reading.series.items())


def _difference(values: Mapping[Place, float], reading: Reading) -> Numbers:
    """Return by how much the series grew; one that is new, or came back lower than it had gone, began at 0.

    Whether a sum of values began at 0, the count beside it tells, which has the same number.
    """
    kinds = reading.kinds
    began = {place for place, value in reading.series.items() if value < values.get(place, 0)}

    def grown(place: Place, value: float) -> float:
        index, number = place
        falls = _may_fall(place, kinds)
        anew = (index - index % kinds.width + kinds.events[0], number) in began if falls else place in began
        return value if anew else value - values.get(place, 0)

    return _summed(((place, grown(place, value)) for place, value in reading.series.items()), kinds)


def _may_fall(place: Place, kinds: Kinds) -> bool:
    return place[0] % kinds.width in kinds.falling


def _by_sums(state: CounterState | None, reading: Reading) -> Numbers:
    """Return by how much a target's sums grew since the last look; nothing where a reset or an ended series is likely.

    The two cannot be told apart from sums, and to take one for the other would count a whole history again.
    """
    kinds = reading.kinds
    old = () if state is None else _sums(state, kinds)
    if state is None or len(reading.series) < state.series or len(old) != len(reading.numbers):
        return _nothing(kinds)
    grown = tuple(new - was for new, was in zip(reading.numbers, old, strict=True))
    fell = any(number < 0 for index, number in enumerate(grown) if index % kinds.width not in kinds.falling)
    return _nothing(kinds) if fell or _exceeds(grown, kinds) else grown


def _sums(state: CounterState, kinds: Kinds) -> Numbers:
    """Return the numbers of the last look."""
    if not kinds.labelled:
        half = len(state.sums) // 2
        return (*state.stable, *state.sums[:half], *state.candidate, *state.sums[half:])
    stable, candidate = state.unlabelled or (0, 0)
    return (*state.stable, stable, *state.candidate, candidate)


def _nothing(kinds: Kinds) -> Numbers:
    return (0,) * (2 * kinds.width)


def _summed(parts: Iterable[tuple[Place, float]], kinds: Kinds) -> Numbers:
    """Return the sums of what series counted."""
    sums = list(_nothing(kinds))
    for (index, _), value in parts:
        sums[index] += value
    return tuple(sums)


def _sum(left: Numbers, right: Numbers) -> Numbers:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def to_state(target: Target, reading: Reading) -> CounterState:
    """Return what the next look must know of a target."""
    counts = reading.kinds.width - len(reading.kinds.sums)
    stable, candidate = ([int(one) for one in side[:counts]] for side in (reading.stable, reading.candidate))
    unlabelled = [stable.pop(), candidate.pop()] if reading.kinds.labelled else []
    return CounterState(
        pod=target[0],
        target=target[1],
        time=reading.time,
        stable=stable,
        candidate=candidate,
        unlabelled=unlabelled if any(unlabelled) else [],
        sums=[*reading.stable[counts:], *reading.candidate[counts:]],
        series=len(reading.series),
    )
