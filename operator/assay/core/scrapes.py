"""What do the raw cumulative counters of a check say, scrape by scrape?

    series of a target ──> a row per scrape, a column per series ──> what each kind of event has come to

A target is what Prometheus scrapes: usually a pod, or one of several ports of it. Nothing here is estimated: a reading
that cannot be trusted yields no number at all.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, chain
from operator import itemgetter
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from assay.core.decision import Missing, Series
from assay.core.kinds import PROPORTION, Kinds, Numbers
from assay.core.names import METRIC_REVISION
from assay.stats.counts import Floats
from assay.stats.moments import LARGEST

MOST_COUNTED = 2**53 - 1  # events

Target: TypeAlias = tuple[str, str]
"""(pod, digest of the labels `instance` and `job`): series of one target are scraped at the same instant."""


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


class Columns(NamedTuple):
    """Which series stands in each column of a target's rows."""

    place: tuple[int, ...] = ()
    """Its index into `Numbers`; those of one place stand together."""
    beside: tuple[int, ...] = ()
    """The column of the count that began when it began: its own, but for a sum of values."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One target's cumulative counters at one scrape."""

    time: float
    """Seconds since the epoch, by Prometheus' clock."""
    sums: Floats
    """The `Numbers` of stable, and of the candidate."""
    row: Floats = field(default_factory=lambda: np.zeros(0))
    """What they are sums of, by column; NaN where this scrape did not tell a series."""
    columns: Columns = field(default_factory=Columns)
    kinds: Kinds = PROPORTION
    bounds: tuple[float, ...] = ()
    """The finite bounds of a histogram."""

    @property
    def stable(self) -> Numbers:
        """Of the stable revision."""
        return tuple(self.sums[: self.kinds.width].tolist())

    @property
    def candidate(self) -> Numbers:
        """Of the candidate."""
        return tuple(self.sums[self.kinds.width :].tolist())

    @property
    def told(self) -> int:
        """How many series this scrape told."""
        return int(np.isfinite(self.row).sum())

    def values(self, place: int) -> list[float]:
        """Return what the series of one place told."""
        row = self.row[np.array(self.columns.place) == place]
        return list(row[np.isfinite(row)].tolist())

    def shows(self, side: Numbers) -> bool:
        """Return whether one side of it tells of any event."""
        return any(side[place] > 0 for place in self.kinds.events)

    def slower(self, place: int) -> "Reading":
        """Return, of a histogram, the events beyond a bound as bad ones of all."""
        pairs = [(side[-1] - side[place], side[-1], 0) for side in (self.stable, self.candidate)]
        return Reading(self.time, np.array([*pairs[0], *pairs[1]]))


Readings: TypeAlias = Mapping[Target, tuple[Reading, ...]]
"""Target -> its readings, oldest first; all of the same kinds."""


def read(events: Events, arms: Arms) -> Readings | Missing:
    """Return each target's readings.

    A class without a series at a scrape counts as 0: a counter appears with its first increment.

    Returns:
        The readings; Missing where bad events were not scraped together with all events, or exceed them, for then no
        proportion can be read from them.
    """
    kinds = events.kinds
    found: dict[Target, list[Reading]] = {}
    for columns, targets in _alike(events, arms).items():
        told = [_rows(series) for series in targets.values()]
        rows = np.concatenate([rows for _, rows in told])
        whole = ~np.isin(np.array(columns.place) % kinds.width, kinds.sums) if kinds.sums else slice(None)
        rows[:, whole] = np.rint(rows[:, whole])
        sums = summed(rows, columns, kinds)
        whose = [target for target, (times, _) in zip(targets, told, strict=True) for _ in times]
        if doubt := _doubt(sums, _told(rows, columns, kinds), kinds):
            at, why = doubt
            return Missing(f"pod {whose[at][0]} {why}")
        times = chain.from_iterable(times.tolist() for times, _ in told)
        for target, at, one, row in zip(whose, times, sums, rows, strict=True):
            found.setdefault(target, []).append(Reading(at, one, row, columns, kinds, events.bounds))
    return {target: tuple(found[target]) for target in sorted(found)}


def _alike(events: Events, arms: Arms) -> Mapping[Columns, dict[Target, list[Series]]]:
    """Return the series of each target, those of targets together that have the same columns."""
    tracks: dict[Target, list[tuple[int, int, Series]]] = defaultdict(list)
    sides = {arms.stable: 0, arms.candidate: events.kinds.width}
    for kind, series in enumerate(events.series):
        for number, one in enumerate(series):
            pod, side = one.labels.get("pod"), sides.get(one.labels.get(METRIC_REVISION, ""))
            if pod and side is not None and one.samples:
                target = pod, _digest(one.labels.get("instance", ""), one.labels.get("job", ""))
                tracks[target].append((side + kind, number, one))
    found: dict[Columns, dict[Target, list[Series]]] = defaultdict(dict)
    for target, mine in tracks.items():
        mine.sort(key=itemgetter(0))
        found[_columns(mine, events.kinds)][target] = [one for _, _, one in mine]
    return found


@lru_cache(maxsize=4096)
def _digest(*labels: str) -> str:
    """Return what tells the targets of one pod apart; empty where Prometheus does not name them."""
    return hashlib.sha256("\n".join(labels).encode()).hexdigest()[:8] if any(labels) else ""


def _columns(tracks: Sequence[tuple[int, int, Series]], kinds: Kinds) -> Columns:
    if not kinds.sums:
        return _own(tuple((place, len(one.bounds)) for place, _, one in tracks))
    place = tuple(place for place, _, _ in tracks)
    own = {(place, number): column for column, (place, number, _) in enumerate(tracks)}
    beside = tuple(
        own.get((place - place % kinds.width + kinds.events[0], number), column)
        if place % kinds.width in kinds.sums
        else column
        for column, (place, number, _) in enumerate(tracks)
    )
    return Columns(place, beside)


@lru_cache(maxsize=256)
def _own(series: tuple[tuple[int, int], ...]) -> Columns:
    """Return the columns of counts, by place and number of bounds of each series; each began when it began itself."""
    place = tuple(at for place, bounds in series for at in range(place - bounds, place + 1))
    return Columns(place, tuple(range(len(place))))


def _rows(series: Sequence[Series]) -> tuple[Floats, Floats]:
    """Return the times of all scrapes, and a row of values for each; NaN where a series was not told."""
    flat = np.fromiter(chain.from_iterable(pair for one in series for pair in one.samples), float).reshape(-1, 2)
    times, at = np.unique(flat[:, 0], return_inverse=True)
    last = list(accumulate(len(one.bounds) + 1 for one in series))  # after the columns of each
    rows = np.full((len(times), last[-1]), np.nan)
    rows[at, np.repeat(np.array(last) - 1, [len(one.samples) for one in series])] = flat[:, 1]
    begin = 0
    for one, end in zip(series, last, strict=True):
        if one.upto is not None:
            rows[at[begin : begin + len(one.samples)], end - 1 - len(one.bounds) : end - 1] = one.upto
        begin += len(one.samples)
    return times, rows


def summed(rows: Floats, columns: Columns, kinds: Kinds) -> Floats:
    """Return the `Numbers` of each row of values."""
    sums = np.zeros((len(rows), 2 * kinds.width))
    places, begin = _places(columns)
    sums[:, places] = np.add.reduceat(np.where(np.isnan(rows), 0.0, rows), begin, axis=1)
    return sums


@lru_cache(maxsize=256)
def _places(columns: Columns) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places that have columns, and where those of each begin: they stand together."""
    place = np.array(columns.place)
    begin = np.flatnonzero(np.diff(place, prepend=-1))
    return place[begin], begin


def _told(rows: Floats, columns: Columns, kinds: Kinds) -> NDArray[np.bool_]:
    """Return of which kinds each scrape told any series, of either revision."""
    there = summed(np.isfinite(rows).astype(float), columns, kinds) > 0
    found: NDArray[np.bool_] = there[:, : kinds.width] | there[:, kinds.width :]
    return found


def _doubt(sums: Floats, told: NDArray[np.bool_], kinds: Kinds) -> tuple[int, str] | None:
    """Return which row cannot be trusted, and why; None where all can."""
    sides = sums.reshape(len(sums), 2, kinds.width)
    counts = sides[:, :, : kinds.width - len(kinds.sums)]
    wild = (counts < 0) | (counts > MOST_COUNTED)
    if wild.any():
        return int(np.argwhere(wild)[0][0]), "counts less than nothing, or more than can be counted exactly"
    for place in kinds.sums:
        large = np.abs(sides[:, :, place]) > LARGEST
        if large.any():
            why = f"tells of a {kinds.names[place]} beyond {LARGEST:g}, with which nobody can calculate"
            return int(np.argwhere(large)[0][0]), why
    parts, wholes = kinds.pairs
    apart = told.take(parts, axis=1) & ~told.take(wholes, axis=1)
    if apart.any():
        row, at = np.argwhere(apart)[0]
        part, whole = (kinds.names[place] for place in kinds.parts[at])
        return int(row), f"exports {part} apart from {whole}; both must come from the same scrape"
    more = sides.take(parts, axis=2) > sides.take(wholes, axis=2)
    if more.any():
        row, _, at = np.argwhere(more)[0]
        part, whole = (kinds.names[place] for place in kinds.parts[at])
        return int(row), f"counts more {part} than {whole}, of which they must be a part"
    return None
