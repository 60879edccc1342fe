"""Which counters did somebody write down, in a CSV file?

run,time,check,role,instance,series,value,weight
1,0,errors,stable,pod-a,total,120301,
1,0,errors,stable,pod-a,bad,1190,

"""

import csv
import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeAlias, TypeVar

from assay.api.checks import Check, CheckPreset
from assay.core import measures
from assay.core.decision import Missing, Series
from assay.core.errors import InvalidSpec
from assay.core.evidence import Events
from assay.core.names import METRIC_REVISION
from assay.core.replay import ARMS, Recording
from assay.stats import moments

COLUMNS = ("time", "check", "role", "series", "value")
OPTIONAL = ("run", "instance", "weight")
ROLES = (ARMS.stable, ARMS.candidate)
SERIES = ("total", "bad", "good")
MEAN = ("count", "sum", "sumsq")
RATIO = ("count", "numerator", "denominator", "numeratorsq", "denominatorsq", "products")
GAUGE = ("gauge",)
MOST_ROWS = 9_000_000  # what fits into two gigabytes
FARTHEST = 1.3  # times the wanted bound, or one over it, may the nearest bucket be
LATEST = 1e11  # seconds; in the year 5138
LARGEST = 2.0**53  # what is greater is no exact count any more


class Place(NamedTuple):
    """Which series of a run."""

    check: str
    role: str
    instance: str
    series: str


@dataclass(slots=True)
class _Samples:
    times: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))

    def pairs(self) -> tuple[tuple[float, float], ...]:
        return tuple(zip(self.times, self.values, strict=True))


Count: TypeAlias = tuple[float, float]
"""(bad, total)"""
_Seen = TypeVar("_Seen", bound=tuple[float, ...])
_Run: TypeAlias = dict[Place, _Samples]


def read(path: Path, checks: Sequence[Check]) -> Mapping[str, Recording]:
    """Return the recordings of a file, by the name of the run; a file without the column `run` holds one, named "1".

    Args:
        path: A CSV file in UTF-8 with a head. Each row is one cumulative counter as it was scraped: `time` in seconds,
            `role` stable or candidate, `series` total, bad or good (two of the three for each instance; total is bad plus
            good), for a mean count, sum and sumsq, or for a check `latency` or `histogram` the buckets, le=0.25 and le=+Inf (of latency in seconds).
            Counters are subtracted per `instance`; they may fall where it began anew, and rows may be missing.
            `weight`, the candidate's percent, is for those who read the file: evidence is weighed look by look, whatever
            the weight was.
        checks: Those of the spec; each must occur.

    Raises:
        InvalidSpec: What the file says cannot be judged; the message names the line.
    """
    runs: dict[str, _Run] = {}
    named = {check.name: check for check in checks}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, (run, place, time, value) in _rows(file, named):
                samples = runs.setdefault(run, {}).setdefault(place, _Samples())
                if samples.times and time <= samples.times[-1]:
                    _refuse(
                        number,
                        f"time {time:g} does not come after {samples.times[-1]:g}, at which {_told(place)} was last read",
                    )
                samples.times.append(time)
                samples.values.append(value)
    except OSError as error:
        raise InvalidSpec(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"{path} is no text in UTF-8.") from error
    except csv.Error as error:
        raise InvalidSpec(f"{path} is no CSV file: {error}.") from error
    missing = set(named) - {place.check for run in runs.values() for place in run}
    if missing:
        raise InvalidSpec(f"{path} has no sample of check {', '.join(sorted(missing))}, which the spec has.")
    buckets = _bounds(runs.values(), checks)
    return {name: _recording(name, run, checks, buckets) for name, run in runs.items()}


def _refuse(number: int, why: str) -> NoReturn:
    raise InvalidSpec(f"Line {number}: {why}.")


def _rows(file: Iterator[str], checks: Mapping[str, Check]) -> Iterator[tuple[int, tuple[str, Place, float, float]]]:
    """Yield each row with the number of its line."""
    reader = csv.reader(file)
    head = next(reader, [])
    unknown = [name for name in head if name not in COLUMNS + OPTIONAL]
    lacking = [name for name in COLUMNS if name not in head]
    if lacking or unknown or len(set(head)) < len(head):
        told = f"lacks {', '.join(lacking)}" if lacking else f"must have each of its columns once: {', '.join(head)}"
        told = told if lacking or not unknown else f"has the unknown column {unknown[0]!r}"
        _refuse(1, f"the head {told}; columns are {', '.join(COLUMNS)} and, where wanted, {', '.join(OPTIONAL)}")
    places = {name: head.index(name) for name in head}
    for count, row in enumerate(reader, start=1):
        if not row:
            continue
        if count > MOST_ROWS:
            _refuse(reader.line_num, f"there are more than {MOST_ROWS:,} rows; split the file by run")
        if len(row) != len(head):
            _refuse(reader.line_num, f"there are {len(row)} fields, but {len(head)} columns")
        yield reader.line_num, _row({name: row[at] for name, at in places.items()}, checks, reader.line_num)


def _row(row: Mapping[str, str], checks: Mapping[str, Check], number: int) -> tuple[str, Place, float, float]:
    check, role, series = row["check"], row["role"], row["series"]
    if check not in checks:
        _refuse(number, f"check {check!r} is none of the spec's, which are {', '.join(checks)}")
    if role not in ROLES:
        _refuse(number, f"role {role!r} must be {' or '.join(ROLES)}")
    values = _series_of_values(checks[check])
    if values:
        if series not in values:
            _refuse(number, f"series {series!r} of check {check} must be one of {', '.join(values)}")
        time = _number("time", row["time"], LATEST, number)
        return row.get("run", "1"), Place(check, role, row.get("instance", ""), series), time, _value(row, number)
    histogram = checks[check].preset is CheckPreset.LATENCY or checks[check].histogram is not None
    if series not in SERIES and not (histogram and _bound(series) > 0):
        buckets = ", or a bucket such as le=0.25 or le=+Inf" if histogram else ""
        _refuse(number, f"series {series!r} of check {check} must be one of {', '.join(SERIES)}{buckets}")
    time = _number("time", row["time"], LATEST, number)
    value = _number("value", row["value"], LARGEST, number)
    if not value.is_integer():
        _refuse(number, f"value is {row['value']!r}: a counter of events must be a whole number")
    if row.get("weight"):
        _number("weight", row["weight"], 100, number)
    return row.get("run", "1"), Place(check, role, row.get("instance", ""), series), time, value


def _series_of_values(check: Check) -> tuple[str, ...]:
    """Return what is recorded of a mean, a ratio or a gauge; nothing of other checks."""
    names = ((check.mean, MEAN), (check.ratio, RATIO), (check.gauge, GAUGE))
    return next((series for given, series in names if given is not None), ())


def _value(row: Mapping[str, str], number: int) -> float:
    """Return a sum of values, which may be a fraction and negative; how many values there were is counted."""
    if row["series"] == "count":
        value = _number("value", row["value"], LARGEST, number)
    else:
        try:
            value = float(row["value"])
        except ValueError:
            value = math.nan
        if not abs(value) <= moments.LARGEST or (row["series"].endswith("sq") and value < 0):
            _refuse(number, f"value is {row['value']!r}: must be a number, and a sum of squares none below 0")
    if row["series"] == "count" and not value.is_integer():
        _refuse(number, f"value is {row['value']!r}: a count must be a whole number")
    return value


def _bound(series: str) -> float:
    """Return the bound of a bucket, in seconds; 0 where it is none."""
    try:
        return float(series.removeprefix("le=")) if series.startswith("le=") else 0.0
    except ValueError:
        return 0.0


def _number(name: str, text: str, most: float, number: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        _refuse(number, f"{name} is {text!r}: must be a number from 0 to {most:g}")
    return value


def _told(place: Place) -> str:
    return f"{place.series} of {place.check}, {place.role}" + (f", instance {place.instance}" if place.instance else "")


def _bounds(runs: Iterable[_Run], checks: Sequence[Check]) -> dict[str, str]:
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
                if place.check == check.name and 0 < _bound(place.series) < math.inf:
                    sets[number, place.role, place.instance].add(place.series)
        if not sets:
            continue
        wanted = float(check.slower_than_seconds or "1")
        common = set.intersection(*sets.values())
        nearest = min(common, key=lambda one: abs(math.log(_bound(one) / wanted)), default="")
        if not nearest or abs(math.log(_bound(nearest) / wanted)) > math.log(FARTHEST):
            told = ", ".join(sorted(common, key=_bound)) or "none"
            raise InvalidSpec(
                f"Check {check.name}: slowerThanSeconds is {wanted:g}, and no bucket within {FARTHEST - 1:.0%} of it"
                f" was recorded of every instance; those of all are {told}."
            )
        found[check.name] = nearest
    return found


def _values(run: _Run, check: Check, role: str, instance: str, bucket: str) -> dict[str, _Samples]:
    """Return total, bad and good of one instance, as far as they were recorded; a quick answer is a good one."""
    mine = {place.series: samples for place, samples in run.items() if place[:3] == (check.name, role, instance)}
    if bucket in mine:
        mine["good"] = mine[bucket]
    everything = [samples for series, samples in mine.items() if math.isinf(_bound(series))]
    if everything:
        mine["total"] = everything[0]
    return {kind: mine[kind] for kind in SERIES if kind in mine}


def _recording(name: str, run: _Run, checks: Sequence[Check], buckets: Mapping[str, str]) -> Recording:
    """Return the series of one run, as if they had come from Prometheus."""
    found: dict[str, Events] = {}
    for check in checks:
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


def _histogram(name: str, run: _Run, check: Check) -> Events:
    """Return the buckets that were recorded of every instance; `total` is the one without a bound."""
    groups: dict[tuple[str, str], dict[float, _Samples]] = defaultdict(dict)
    for place, samples in run.items():
        if place.check == check.name:
            bound = math.inf if place.series == "total" else _bound(place.series)
            if not bound:
                raise InvalidSpec(f"Check {check.name} compares a histogram: {_told(place)} is no bucket.")
            groups[place.role, place.instance][bound] = samples
    common = set.intersection(*map(set, groups.values())) if groups else set()
    if math.inf not in common or len(common) == 1:
        told = ", ".join(f"le={bound:g}" for bound in sorted(common)) or "none"
        raise InvalidSpec(
            f"Check {check.name} of run {name}: le=+Inf and at least one bucket must be recorded of every instance; those of all are {told}."
        )
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


def _values_of(name: str, run: _Run, check: Check) -> Events:
    """Return the series of a mean, a ratio or a gauge, at the times at which all of them are known."""
    names = _series_of_values(check)
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


def _counts(values: Mapping[str, _Samples], told: str) -> dict[float, Count]:
    """Return (bad, total) at each time at which both are known: a row that is missing is a scrape that was lost."""
    kinds = [kind for kind in ("bad", "total", "good") if kind in values][:2]
    if len(kinds) < 2:  # noqa: PLR2004 - total is bad plus good
        raise InvalidSpec(
            f"There is {kinds[0] if kinds else 'nothing'} ({told}): two of {', '.join(SERIES)} are needed."
        )
    first, second = (dict(values[kind].pairs()) for kind in kinds)
    found: dict[float, Count] = {}
    for time in sorted(first.keys() & second.keys()):
        one, other = first[time], second[time]
        if kinds == ["total", "good"] and other > one:
            raise InvalidSpec(f"At time {time:g} ({told}) good is greater than total.")
        pairs = {"bad total": (one, other), "bad good": (one, one + other), "total good": (one - other, one)}
        found[time] = pairs[" ".join(kinds)]
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
