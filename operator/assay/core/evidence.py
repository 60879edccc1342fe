"""What was counted since the last look, exactly, from raw cumulative counters?

    series of one target ──> readings at its scrapes ──> differences per series since the last look ──> one Look

A target is what Prometheus scrapes: usually a pod, or one of several ports of it. Nothing here is estimated: a reading
that cannot be trusted yields no number at all.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from assay.api.modeldeployment import CounterState
from assay.core.decision import Missing, Series
from assay.core.names import METRIC_REVISION
from assay.stats.proportion import Look

MOST_TARGETS = 256  # counters that fit into status

Pair: TypeAlias = tuple[int, int]
"""(bad, total)"""
Numbers: TypeAlias = tuple[int, int, int, int, int, int]
"""Stable's bad, total and unlabelled, the candidate's bad, total and unlabelled."""
Target: TypeAlias = tuple[str, str]
"""(pod, digest of the labels `instance` and `job`): series of one target are scraped at the same instant."""
Place: TypeAlias = tuple[int, int]
"""(index into `Numbers`, number of the series)"""

NOTHING: Numbers = (0, 0, 0, 0, 0, 0)
BAD, TOTAL, UNLABELLED = 0, 1, 2  # places of stable's; the candidate's follow
OF_CANDIDATE = 3


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
    unlabelled: tuple[Series, ...] = ()
    """Predictions whose label did not come in time; no part of `total`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One target's cumulative counters at one scrape."""

    time: float
    """Seconds since the epoch, by Prometheus' clock."""
    numbers: Numbers
    series: Mapping[Place, int] = field(default_factory=dict)
    """What the numbers are sums of."""

    @property
    def stable(self) -> Pair:
        """Of the stable revision."""
        return self.numbers[BAD], self.numbers[TOTAL]

    @property
    def candidate(self) -> Pair:
        """Of the candidate."""
        return self.numbers[OF_CANDIDATE + BAD], self.numbers[OF_CANDIDATE + TOTAL]

    def shows(self, arm: int) -> bool:
        """Return whether it tells of any event of stable (0) or of the candidate (`OF_CANDIDATE`)."""
        return self.numbers[arm + TOTAL] + self.numbers[arm + UNLABELLED] > 0


Readings: TypeAlias = Mapping[Target, tuple[Reading, ...]]
"""Target -> its readings, oldest first."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The outcome of a look: what to add, and what the next look subtracts."""

    look: Look
    unlabelled: tuple[int, int]
    """Predictions of the candidate and of stable without a label in time; no part of the look."""
    counters: tuple[CounterState, ...]
    fresh: bool
    """Whether any target told anything newer than the last look."""
    stable_seen: bool
    """Whether a target that told something newer has ever counted an event of the stable revision."""
    candidate_seen: bool
    """The same of the candidate."""

    @property
    def grown(self) -> tuple[int, int, int, int]:
        """All events of the candidate and of stable, with and without a label."""
        return (self.look.candidate_total, self.look.stable_total, *self.unlabelled)


def read(events: Events, arms: Arms) -> Readings | Missing:
    """Return each target's readings.

    A class without a series at a scrape counts as 0: a counter appears with its first increment.

    Returns:
        The readings; Missing where bad events were not scraped together with all events, or exceed them, for then no
        proportion can be read from them.
    """
    values: dict[Target, dict[float, dict[Place, int]]] = defaultdict(lambda: defaultdict(dict))
    for kind, series in ((TOTAL, events.total), (BAD, events.bad), (UNLABELLED, events.unlabelled)):
        for number, one in enumerate(series):
            revision, pod = one.labels.get(METRIC_REVISION), one.labels.get("pod")
            if pod and revision in (arms.stable, arms.candidate):
                place = (kind if revision == arms.stable else OF_CANDIDATE + kind, number)
                for at, value in one.samples:
                    values[pod, _digest(one)][at][place] = round(value)
    found: dict[Target, tuple[Reading, ...]] = {}
    for target in sorted(values):
        found[target] = tuple(_reading(at, values[target][at]) for at in sorted(values[target]))
        why = next((why for one in found[target] if (why := _doubt(one))), "")
        if why:
            return Missing(f"pod {target[0]} {why}")
    return found


def _digest(series: Series) -> str:
    """Return what tells the targets of one pod apart; empty where Prometheus does not name them."""
    labels = [series.labels.get(label, "") for label in ("instance", "job")]
    return hashlib.sha256("\n".join(labels).encode()).hexdigest()[:8] if any(labels) else ""


def _reading(at: float, values: Mapping[Place, int]) -> Reading:
    return Reading(at, _summed((index, value) for (index, _), value in values.items()), values)


def _doubt(reading: Reading) -> str:
    """Return why no proportion can be read from a reading, or an empty string."""
    kinds = {index % OF_CANDIDATE for index, _ in reading.series}
    if BAD in kinds and TOTAL not in kinds:
        return "exports bad events apart from all events; both must come from the same scrape"
    if _more_bad_than_all(reading.numbers):
        return "counts more bad events than events; bad must select a part of total"
    return ""


def _more_bad_than_all(numbers: Numbers) -> bool:
    return any(numbers[arm + BAD] > numbers[arm + TOTAL] for arm in (0, OF_CANDIDATE))


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
    sums, newer, counters = NOTHING, [], []
    for target in _chosen(readings, before):
        state = before.get(target)
        since = max(floor, state.time if state else floor)
        fresh = [one for one in readings[target] if one.time > since]
        sums = _sum(sums, _grown(readings[target], state, since))
        newer += fresh
        if fresh:
            counters.append(_to_state(target, fresh[-1]))
        elif state is not None:
            counters.append(state)
    stable, candidate = sums[:OF_CANDIDATE], sums[OF_CANDIDATE:]
    return Counted(
        Look(candidate[TOTAL], candidate[BAD], stable[TOTAL], stable[BAD]),
        (candidate[UNLABELLED], stable[UNLABELLED]),
        tuple(sorted(counters, key=lambda one: (one.pod, one.target))),
        fresh=bool(newer),
        stable_seen=any(one.shows(0) for one in newer),
        candidate_seen=any(one.shows(OF_CANDIDATE) for one in newer),
    )


def _chosen(readings: Readings, before: Mapping[Target, CounterState]) -> list[Target]:
    """Return at most as many targets as fit into status: first the known, then by the random end of the pods' names.

    By the whole name, one revision's pods would come before the other's.
    """
    return sorted(readings, key=lambda one: (one not in before, one[0][::-1], one[1]))[:MOST_TARGETS]


def _grown(readings: Sequence[Reading], state: CounterState | None, since: float) -> Numbers:
    """Return what one target counted after `since`, from scrape to scrape.

    Scrapes up to then are read too, if Prometheus still has them: they are what the next one is subtracted from, series
    by series. Where the last look's own scrape is not among them, only its sums are known.
    """
    sums, previous = NOTHING, None
    values: dict[Place, int] = {}  # the last value of every series of this life, those that ended included
    base = state.time if state else None
    for reading in readings:
        anew = previous is not None and _began_anew(previous, values, reading)
        if reading.time > since:
            if base is None:
                base = reading.time
            elif previous is None or previous.time < base:
                sums = _sum(sums, _by_sums(state, reading))
            else:
                sums = _sum(sums, reading.numbers if anew else _difference(values, reading))
        values = {**({} if anew else values), **reading.series}
        previous = reading
    return sums


def _began_anew(previous: Reading, values: Mapping[Place, int], reading: Reading) -> bool:
    """Return whether a target's counters were reset; they begin anew together, so one that fell betrays all.

    A series that ended did not fall. A part that grew by more than the whole betrays a reset after which the target
    overtook its old numbers.
    """
    if any(value < previous.series.get(place, 0) for place, value in reading.series.items()):
        return True
    return _more_bad_than_all(_difference(values, reading))


def _difference(values: Mapping[Place, int], reading: Reading) -> Numbers:
    """Return by how much the series grew; one that is new, or came back lower than it had gone, began at 0."""
    pairs = ((place[0], value, values.get(place, 0)) for place, value in reading.series.items())
    return _summed((index, value - old if value >= old else value) for index, value, old in pairs)


def _by_sums(state: CounterState | None, reading: Reading) -> Numbers:
    """Return by how much a target's sums grew since the last look; nothing where a reset or an ended series is likely.

    The two cannot be told apart from sums, and to take one for the other would count a whole history again.
    """
    if state is None or len(reading.series) < state.series:
        return NOTHING
    stable, candidate = state.unlabelled or (0, 0)
    old = (*state.stable, stable, *state.candidate, candidate)
    grown = _summed(enumerate(new - was for new, was in zip(reading.numbers, old, strict=True)))
    return NOTHING if min(grown) < 0 or _more_bad_than_all(grown) else grown


def _summed(parts: Iterable[tuple[int, int]]) -> Numbers:
    """Return the sums of parts that are (index into `Numbers`, value)."""
    sums = list(NOTHING)
    for index, value in parts:
        sums[index] += value
    return (sums[0], sums[1], sums[2], sums[3], sums[4], sums[5])


def _sum(left: Numbers, right: Numbers) -> Numbers:
    return _summed([*enumerate(left), *enumerate(right)])


def _to_state(target: Target, reading: Reading) -> CounterState:
    stable, candidate = reading.numbers[UNLABELLED], reading.numbers[OF_CANDIDATE + UNLABELLED]
    return CounterState(
        pod=target[0],
        target=target[1],
        time=reading.time,
        stable=list(reading.stable),
        candidate=list(reading.candidate),
        unlabelled=[stable, candidate] if stable or candidate else [],
        series=len(reading.series),
    )
