"""What was counted since the last look, exactly, from raw cumulative counters?

    readings of a target at its scrapes ──> differences per series since the last look ──> one Look

Nothing here is estimated: where it is not known what was counted, nothing was.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from assay.api.modeldeployment import CounterState
from assay.core.in_step import in_step
from assay.core.kinds import UNLABELLED, Kinds, Numbers
from assay.core.scrapes import Columns, Reading, Readings, Target, summed
from assay.stats.buckets import Histogram
from assay.stats.counts import Floats
from assay.stats.proportion import Look

Bools: TypeAlias = NDArray[np.bool_]

MOST_TARGETS = 256  # counters that fit into status
MOST_NUMBERS = 8_192  # the same, of histograms


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
    late: str = ""
    """A pod that lost a scrape, for whose next one others wait; empty where nobody waits."""

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


def count(known: Sequence[CounterState], readings: Readings, floor: float) -> Counted:
    """Return what was counted since the last look.

    A target that was not known, or was last read before `floor`, is baselined at its first reading after it: what it
    counted until then belongs to another weight, or to nobody knows when.

    Args:
        known: Counters at the last look.
        readings: From `scrapes.read`.
        floor: Seconds since the epoch; readings up to then count nothing.
    """
    before = {(one.pod, one.target): one for one in known if one.time > floor}
    first = next((one for target in readings.values() for one in target), Reading(0.0, np.zeros(0)))
    kinds, bounds = first.kinds, first.bounds
    sums, newer, counters = np.zeros(2 * kinds.width), [], []
    readings, gone, late = in_step(readings, before)
    if late:
        return _waiting_for(late, known, first)
    # What a target that is not known counted until the last look, it counted alone.
    latest = max((one.time for one in before.values()), default=floor)
    alike: dict[tuple[Columns, int], list[tuple[tuple[Reading, ...], list[bool]]]] = defaultdict(list)
    for target in chosen(readings, before, kinds):
        mine, state = readings[target], before.get(target)
        since = state.time if state else latest
        old, fresh = [one for one in mine if one.time <= since], [one for one in mine if one.time > since]
        newer += fresh
        if fresh:
            base = state.time if state else fresh[0].time
            alike[mine[0].columns, len(mine)].append((mine, [one.time >= base for one in mine[:-1]]))
            if state is not None and not (old and old[-1].time >= base):
                sums += _by_sums(state, fresh[0])
            state = to_state(target, fresh[-1])
        if state is not None and target not in gone:
            counters.append(state)
    for targets in alike.values():
        sums += _grown([mine for mine, _ in targets], np.array([counts for _, counts in targets], dtype=bool))
    return Counted(
        tuple(sums[: kinds.width].tolist()),
        tuple(sums[kinds.width :].tolist()),
        kinds,
        bounds,
        tuple(sorted(counters, key=lambda one: (one.pod, one.target))),
        fresh=bool(newer),
        stable_seen=any(one.shows(one.stable) for one in newer),
        candidate_seen=any(one.shows(one.candidate) for one in newer),
    )


def _waiting_for(pod: str, known: Sequence[CounterState], reading: Reading) -> Counted:
    nothing, kinds = (0.0,) * reading.kinds.width, reading.kinds
    return Counted(
        nothing,
        nothing,
        kinds,
        reading.bounds,
        tuple(known),
        fresh=False,
        stable_seen=False,
        candidate_seen=False,
        late=pod,
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


def _grown(targets: Sequence[Sequence[Reading]], counts: Bools) -> Floats:
    """Return what targets with the same columns counted from scrape to scrape, as one sum of `Numbers`.

    Scrapes that are not counted are read too: they are what the next one is subtracted from, series by series.

    Args:
        targets: The readings of each, as many as of any other.
        counts: For each of them and each reading but the last, whether what the next one counted since then counts.
    """
    columns, kinds = targets[0][0].columns, targets[0][0].kinds
    rows = np.array([[reading.row for reading in readings] for readings in targets]).transpose(1, 0, 2)
    place = np.array(columns.place) % kinds.width
    watched = np.isin(place, kinds.events) if kinds.coarsens else ~np.isin(place, kinds.falling)
    fell = rows[1:] < rows[:-1]
    if np.isfinite(rows).all() and not (fell[..., watched].any() or fell[..., columns.beside].any()):
        grown = summed((rows[1:] - rows[:-1])[counts.T], columns, kinds)
        if kinds.coarsens or not _exceeds(grown, kinds).any():
            return np.asarray(grown.sum(axis=0))  # as nearly always, nothing ended, was joined, or began anew
    last = rows[0]  # the values of every series of this life, those that ended included
    sums = np.zeros(2 * kinds.width)
    for previous, row, counted in zip(rows, rows[1:], counts.T, strict=False):
        grown = summed(_difference(last, row, columns), columns, kinds)
        anew = _began_anew(previous[:, watched], row[:, watched], grown, kinds)
        sums += summed(row[counted & anew], columns, kinds).sum(axis=0)
        sums += grown[counted & ~anew & ~_joined(last, row, kinds)].sum(axis=0)
        last = np.where(anew[:, None] | ~np.isnan(row), row, last)
    return sums


def _difference(last: Floats, row: Floats, columns: Columns) -> Floats:
    """Return by how much series grew; one that is new, or came back lower than it had gone, began at 0.

    Whether a sum of values began at 0, the count beside it tells: a sum may fall, or may have grown higher since.
    """
    found: Floats = row - np.where((row < last)[:, columns.beside], 0, np.nan_to_num(last))
    return found


def _began_anew(previous: Floats, row: Floats, grown: Floats, kinds: Kinds) -> Bools:
    """Return of which targets counters were reset, by those that never fall else; they begin anew together, so one that fell betrays all.

    A series that ended did not fall. A part that grew by more than the whole betrays a reset after which the target
    overtook its old numbers. A sum of values may fall without one.
    """
    fell = _any(row < previous)
    return fell if kinds.coarsens else fell | _exceeds(grown, kinds)


def _joined(last: Floats, row: Floats, kinds: Kinds) -> Bools:
    """Return of which targets buckets were joined since the last scrape: then nobody knows in which of them events were counted."""
    return _any(row < last) & kinds.coarsens


def _exceeds(numbers: Floats, kinds: Kinds) -> Bools:
    """Return of which targets some part exceeds its whole."""
    parts, wholes = kinds.pairs
    sides = numbers.reshape(len(numbers), 2, kinds.width)
    return _any(sides[:, :, parts] > sides[:, :, wholes])


def _any(flags: Bools) -> Bools:
    """Return of which targets, the first axis, any is true."""
    found: Bools = np.logical_or.reduce(flags, axis=tuple(range(1, flags.ndim)))
    return found


def _by_sums(state: CounterState, reading: Reading) -> Floats:
    """Return by how much a target's sums grew since the last look; nothing where a reset or an ended series is likely.

    The two cannot be told apart from sums, and to take one for the other would count a whole history again.
    """
    kinds, nothing = reading.kinds, np.zeros(len(reading.sums))
    old = _sums(state, kinds)
    if reading.told < state.series or len(old) != len(reading.sums):
        return nothing
    grown = reading.sums - np.array(old)
    may_fall = np.isin(np.arange(len(grown)) % kinds.width, kinds.falling)
    return nothing if (grown[~may_fall] < 0).any() or _exceeds(grown[None], kinds)[0] else grown


def _sums(state: CounterState, kinds: Kinds) -> Numbers:
    """Return the numbers of the last look."""
    if not kinds.labelled:
        half = len(state.sums) // 2
        return (*state.stable, *state.sums[:half], *state.candidate, *state.sums[half:])
    stable, candidate = state.unlabelled or (0, 0)
    return (*state.stable, stable, *state.candidate, candidate)


def to_state(target: Target, reading: Reading) -> CounterState:
    """Return what the next look must know of a target."""
    kinds = reading.kinds
    sides, counts = reading.sums.reshape(2, kinds.width), kinds.width - len(kinds.sums)
    stable, candidate = sides[:, :counts].astype(int).tolist()
    unlabelled = [stable.pop(), candidate.pop()] if kinds.labelled else []
    return CounterState(
        pod=target[0],
        target=target[1],
        time=reading.time,
        stable=stable,
        candidate=candidate,
        unlabelled=unlabelled if any(unlabelled) else [],
        sums=sides[:, counts:].ravel().tolist(),
        series=reading.told,
    )
