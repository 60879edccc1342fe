"""Which counters did somebody write down, in a CSV file?

run,time,check,role,instance,series,value,weight
1,0,errors,stable,pod-a,total,120301,
1,0,errors,stable,pod-a,bad,1190,

"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from assay.adapters.recorded import (
    ROLES,
    SERIES,
    Place,
    Run,
    Samples,
    bound_of,
    buckets_of,
    recording_of,
    series_of_values,
    told_of,
)
from assay.api.checks import Check, CheckPreset
from assay.core.errors import InvalidSpec
from assay.core.replay import Recording
from assay.stats import moments

COLUMNS = ("time", "check", "role", "series", "value")
OPTIONAL = ("run", "instance", "weight")
MOST_ROWS = 9_900_000  # what fits into two gigabytes
LONGEST_NAME = 253  # characters, of a pod
LATEST = 1e11  # seconds; in the year 5138
LARGEST = 2.0**53  # what is greater is no exact count any more


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
    runs: dict[str, Run] = {}
    named = {check.name: check for check in checks}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, (run, place, time, value) in _rows(file, named):
                samples = runs.setdefault(run, {}).setdefault(place, Samples())
                if samples.times and time <= samples.times[-1]:
                    _refuse(
                        number,
                        f"time {time:g} does not come after {samples.times[-1]:g}, at which {told_of(place)} was last read",
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
    buckets = buckets_of(runs.values(), checks)
    return {name: recording_of(name, run, checks, buckets) for name, run in runs.items()}


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
    if len(row.get("instance", "")) > LONGEST_NAME:
        _refuse(number, f"instance has more than {LONGEST_NAME} characters")
    if check not in checks:
        _refuse(number, f"check {check!r} is none of the spec's, which are {', '.join(checks)}")
    if role not in ROLES:
        _refuse(number, f"role {role!r} must be {' or '.join(ROLES)}")
    values = series_of_values(checks[check])
    if values:
        if series not in values:
            _refuse(number, f"series {series!r} of check {check} must be one of {', '.join(values)}")
        time = _number("time", row["time"], LATEST, number)
        return row.get("run", "1"), Place(check, role, row.get("instance", ""), series), time, _value(row, number)
    histogram = checks[check].preset is CheckPreset.LATENCY or checks[check].histogram is not None
    if series not in SERIES and not (histogram and bound_of(series) > 0):
        buckets = ", or a bucket such as le=0.25 or le=+Inf" if histogram else ""
        _refuse(number, f"series {series!r} of check {check} must be one of {', '.join(SERIES)}{buckets}")
    time = _number("time", row["time"], LATEST, number)
    value = _number("value", row["value"], LARGEST, number)
    if not value.is_integer():
        _refuse(number, f"value is {row['value']!r}: a counter of events must be a whole number")
    if row.get("weight"):
        _number("weight", row["weight"], 100, number)
    return row.get("run", "1"), Place(check, role, row.get("instance", ""), series), time, value


def _value(row: Mapping[str, str], number: int) -> float:
    """Return a sum of values, which may be a fraction and negative; how many values there were is counted."""
    if row["series"] == "count":
        value = _number("value", row["value"], LARGEST, number)
    else:
        value = _float(row["value"])
        if not abs(value) <= moments.LARGEST or (row["series"].endswith("sq") and value < 0):
            _refuse(number, f"value is {row['value']!r}: must be a number, and a sum of squares none below 0")
    if row["series"] == "count" and not value.is_integer():
        _refuse(number, f"value is {row['value']!r}: a count must be a whole number")
    return value


def _number(name: str, text: str, most: float, number: int) -> float:
    value = _float(text)
    if not 0 <= value <= most:
        _refuse(number, f"{name} is {text!r}: must be a number from 0 to {most:g}")
    return value


def _float(text: str) -> float:
    """Return a number as every program writes it; NaN for what only Python takes for one."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
