"""Which series are the counters of a file, as if they had come from Prometheus?"""

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, TypeVar

from assay.api.checks import Check
from assay.core import measures
from assay.core.decision import Missing, Series
from assay.core.errors import InvalidSpec
from assay.core.names import METRIC_REVISION
from assay.core.replay import ARMS, Recording
from assay.core.scrapes import Events

ROLES = (ARMS.stable, ARMS.candidate)
SERIES = ("total", "bad", "good")
MEAN = ("count", "sum", "sumsq")
RATIO = ("count", "numerator", "denominator", "numeratorsq", "denominatorsq", "products")
GAUGE = ("gauge",)
FARTHEST = 1.3  # times the wanted bound, or one over it, may the nearest bucket be


class Place(NamedTuple):
    """Which series of a run."""

    check: str
    role: str
    instance: str
    series: str


@dataclass(slots=True)
class Samples:
    """One series as it was written down."""

    times: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))

    def pairs(self) -> tuple[tuple[float, float], ...]:
        """Return (time, value)."""
        return tuple(zip(self.times, self.values, strict=True))


Count: TypeAlias = tuple[float, float]
"""(bad, total)"""
_Seen = TypeVar("_Seen", bound=tuple[float, ...])
Run: TypeAlias = dict[Place, Samples]


def series_of_values(check: Check) -> tuple[str, ...]:
    """Return what is recorded of a mean, a ratio or a gauge; nothing of other checks."""
    names = ((check.mean, MEAN), (check.ratio, RATIO), (check.gauge, GAUGE))
    return next((series for given, series in names if given is not None), ())


def bound_of(series: str) -> float:
    """Return the bound of a bucket, in seconds; 0 where it is none."""
    try:
        return float(series.removeprefix("le=")) if series.startswith("le=") else 0.0
    except ValueError:
        return 0.0


def told_of(place: Place) -> str:
    """Return a series as people are told of it."""
    return f"{place.series} of {place.check}, {place.role}" + (f", instance {place.instance}" if place.instance else "")


def buckets_of(runs: Iterable[Run], checks: Sequence[Check]) -> dict[str, str]:
    """Return for each check with a histogram the bucket that parts quick from slow: one for all runs and instances.

    Raises:
        InvalidSpec: Not everybody has the one that is nearest to what is wanted, or that one is far from it.
    """
    found: dict[str, str] = {}
    everybody = list(runs)
    for check in checks:
        if check.quantile is not None:
            continue
        sets: dict[tuple[int, str, str], set[str]] = defaultdict(set)
        for number, run in enumerate(everybody):
            for place in run:
                if place.check == check.name and 0 < bound_of(place.series) < math.inf:
                    sets[number, place.role, place.instance].add(place.series)
        if not sets:
            continue
        wanted = float(check.slower_than_seconds or "1")
        common = set.intersection(*sets.values())
        nearest = min(common, key=lambda one: abs(math.log(bound_of(one) / wanted)), default="")
        if not nearest or abs(math.log(bound_of(nearest) / wanted)) > math.log(FARTHEST):
            told = ", ".join(sorted(common, key=bound_of)) or "none"
            raise InvalidSpec(
                f"Check {check.name}: slowerThanSeconds is {wanted:g}, and no bucket within {FARTHEST - 1:.0%} of it"
                f" was recorded of every instance; those of all are {told}."
            )
        found[check.name] = nearest
    return found


def _values(run: Run, check: Check, role: str, instance: str, bucket: str) -> dict[str, Samples]:
    """Return total, bad and good of one instance, as far as they were recorded; a quick answer is a good one."""
    mine = {place.series: samples for place, samples in run.items() if place[:3] == (check.name, role, instance)}
    if bucket in mine:
        mine["good"] = mine[bucket]
    everything = [samples for series, samples in mine.items() if math.isinf(bound_of(series))]
    if everything:
        mine["total"] = everything[0]
    return {kind: mine[kind] for kind in SERIES if kind in mine}


def recording_of(name: str, run: Run, checks: Sequence[Check], buckets: Mapping[str, str]) -> Recording:
    """Return the series of one run, as if they had come from Prometheus."""
    found: dict[str, Events] = {}
    for check in checks:
        if check.class_coverage:
            raise InvalidSpec(f"Check {check.name}: classCoverage needs counts by class, which a file does not have.")
        if check.quantile is not None:
            found[check.name] = _histogram(name, run, check)
            continue
        if check.of_values:
            found[check.name] = _values_of(name, run, check)
            continue
        counts: dict[str, dict[str, dict[float, Count]]] = defaultdict(dict)
        for role, instance in dict.fromkeys((one.role, one.instance) for one in run if one.check == check.name):
            told = f"run {name}, {check.name}, {role}"
            values = _values(run, check, role, instance, buckets.get(check.name, ""))
            counts[instance or role][role] = _counts(values, told)
        bad: list[Series] = []
        total: list[Series] = []
        for instance, roles in counts.items():
            for role, times in _together(roles).items():
                labels = {METRIC_REVISION: role, "pod": instance}
                bad.append(Series(labels, tuple((time, one[0]) for time, one in times.items())))
                total.append(Series(labels, tuple((time, one[1]) for time, one in times.items())))
        found[check.name] = Events.proportion(tuple(bad), tuple(total))
    return found


def _histogram(name: str, run: Run, check: Check) -> Events:
    """Return the buckets that were recorded of every instance; `total` is the one without a bound."""
    groups: dict[tuple[str, str], dict[float, Samples]] = defaultdict(dict)
    for place, samples in run.items():
        if place.check == check.name:
            bound = math.inf if place.series == "total" else bound_of(place.series)
            if not bound:
                raise InvalidSpec(f"Check {check.name} compares a histogram: {told_of(place)} is no bucket.")
            if bound in groups[place.role, place.instance]:
                raise InvalidSpec(
                    f"Check {check.name} of run {name}: {told_of(place)} was recorded under another name too."
                )
            groups[place.role, place.instance][bound] = samples
    common = set.intersection(*map(set, groups.values())) if groups else set()
    if math.inf not in common or len(common) == 1:
        told = ", ".join("le=+Inf" if math.isinf(bound) else f"le={bound:g}" for bound in sorted(common)) or "none"
        raise InvalidSpec(
            f"Check {check.name} of run {name}: le=+Inf and at least one bucket must be recorded of every instance; those of all are {told}."
        )
    for (role, instance), buckets in groups.items():
        told = f"run {name}, {check.name}, {role}{', instance ' if instance else ''}{instance}"
        _refuse_what_is_no_histogram([dict(buckets[bound].pairs()) for bound in sorted(common)], told)
    series = [
        Series({METRIC_REVISION: role, "pod": instance or role, "le": str(bound)}, samples.pairs())
        for (role, instance), buckets in groups.items()
        for bound, samples in buckets.items()
        if bound in common
    ]
    events = measures.histogram(series)
    if isinstance(events, Missing):
        raise InvalidSpec(f"Check {check.name} of run {name}: {events.reason}.")
    return events


def _refuse_what_is_no_histogram(buckets: Sequence[Mapping[float, float]], told: str) -> None:
    """Refuse buckets that are never known together, or are not parts of one another."""
    times = sorted(set.intersection(*map(set, buckets)))
    if not times:
        raise InvalidSpec(f"At no time all buckets are known ({told}).")
    for time in times:
        counts = [bucket[time] for bucket in buckets]
        if counts != sorted(counts):
            raise InvalidSpec(
                f"At time {time:g} ({told}) a bucket counts more than one with a greater bound, of which it is a part."
            )


def _values_of(name: str, run: Run, check: Check) -> Events:
    """Return the series of a mean, a ratio or a gauge, at the times at which all of them are known."""
    names = series_of_values(check)
    found: dict[str, dict[str, dict[float, tuple[float, ...]]]] = defaultdict(dict)
    for role, instance in dict.fromkeys((one.role, one.instance) for one in run if one.check == check.name):
        told = f"run {name}, {check.name}, {role}"
        mine = [
            dict(run[place].pairs())
            for place in (Place(check.name, role, instance, one) for one in names)
            if place in run
        ]
        if len(mine) < len(names):
            raise InvalidSpec(f"There are {len(mine)} series ({told}): all of {', '.join(names)} are needed.")
        times = sorted(set.intersection(*map(set, mine)))
        if not times:
            raise InvalidSpec(f"At no time all of {', '.join(names)} are known ({told}).")
        found[instance or role][role] = {time: tuple(one[time] for one in mine) for time in times}
    kinds: list[list[Series]] = [[] for _ in names]
    for instance, roles in found.items():
        for role, samples in _together(roles).items():
            for place, kind in enumerate(kinds):
                pairs = tuple((time, values[place]) for time, values in samples.items())
                kind.append(Series({METRIC_REVISION: role, "pod": instance}, pairs))
    series = tuple(map(tuple, kinds))
    return measures.of_values(check, ((), *series) if check.gauge is not None else series)


def _counts(values: Mapping[str, Samples], told: str) -> dict[float, Count]:
    """Return (bad, total) at each time at which both are known: a row that is missing is a scrape that was lost."""
    kinds = [kind for kind in ("bad", "total", "good") if kind in values][:2]
    if len(kinds) < 2:  # noqa: PLR2004 - total is bad plus good
        raise InvalidSpec(
            f"There is {kinds[0] if kinds else 'nothing'} ({told}): two of {', '.join(SERIES)} are needed."
        )
    first, second = (dict(values[kind].pairs()) for kind in kinds)
    third = dict(values["good"].pairs()) if len(values) > len(kinds) else {}  # then the others are bad and total
    found: dict[float, Count] = {}
    for time in sorted(first.keys() & second.keys()):
        one, other = first[time], second[time]
        pairs = {"bad total": (one, other), "bad good": (one, one + other), "total good": (one - other, one)}
        bad, total = pairs[" ".join(kinds)]
        if not 0 <= bad <= total:
            part = "good" if bad < 0 else "bad"
            raise InvalidSpec(f"At time {time:g} ({told}) {part} is greater than total.")
        if time in third and bad + third[time] != total:
            raise InvalidSpec(f"At time {time:g} ({told}) total is not bad plus good.")
        found[time] = bad, total
    if not found:
        raise InvalidSpec(f"At no time both {' and '.join(kinds)} are known ({told}).")
    return found


def _together(roles: Mapping[str, dict[float, _Seen]]) -> dict[str, dict[float, _Seen]]:
    """Return the times at which an instance told of all its revisions; before the candidate came, of stable alone."""
    stable, candidate = (roles.get(role) for role in ROLES)
    if stable is None or candidate is None:
        return dict(roles)
    first = min(candidate)
    times = [time for time in stable if time in candidate or time < first]
    return {
        ARMS.stable: {time: stable[time] for time in times},
        ARMS.candidate: {time: candidate[time] for time in times if time in candidate},
    }
