"""Which counters does a check need, and what do they say?"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

from assay.api.checks import Check, CheckPreset
from assay.api.metrics import LabelMatch, Mean, Proportion, Ratio
from assay.core import scrapes
from assay.core.decision import Missing, Query, Series
from assay.core.kinds import GAUGE, GOOD, MEAN, RATIO, Kinds, histogram_of
from assay.core.names import (
    CORRECT,
    LATENCY_BOUNDS_MS,
    LATENCY_METRIC,
    METRIC_VIA,
    OUTCOMES_METRIC,
    REQUESTS_METRIC,
    UNLABELLED,
    WRONG,
)
from assay.core.scrapes import Arms, Events, Readings

ALL = "+Inf"  # the bound of the bucket that holds every request
RESPONSE_CLASS = "envoy_response_code_class"
MILLISECONDS = 1000.0  # in a second; so the router's bounds are written
MOST_BOUNDS = 199
_REQUESTS = Query(REQUESTS_METRIC, ((METRIC_VIA, "split"),))

Found: TypeAlias = Mapping[Query, tuple[Series, ...] | Missing]
"""What was answered to the queries."""


def queries(checks: Sequence[Check], *, history: bool = False) -> tuple[Query, ...]:
    """Return what must be asked of the metrics for these checks, each once; the newest samples, or those of an hour."""
    asked = dict.fromkeys(query for check in checks for query in _queries(check))
    return tuple(replace(query, history=history) for query in asked)


def _queries(check: Check) -> tuple[Query, ...]:
    if check.preset is CheckPreset.ACCURACY:
        return (Query(OUTCOMES_METRIC, (("age_seconds", str(check.label_delay_seconds)),)),)
    if check.histogram is not None:
        query = _query(check.histogram)
        return (query if check.histogram.native else replace(query, metric=f"{query.metric}_bucket"),)
    if check.preset is CheckPreset.LATENCY:
        return (_buckets(check),)
    return tuple(map(_query, _counters(check))) or (_REQUESTS,)


def _counters(check: Check) -> tuple[LabelMatch, ...]:
    """Return the counters that a check names, each in its place."""
    match check.proportion or check.mean or check.ratio or check.gauge:
        case Proportion(bad=bad, good=good, total=total):
            return tuple(one for one in (bad or good, total) if one is not None)
        case Mean() as mean:
            return mean.count, mean.sum, mean.sum_of_squares
        case Ratio() as ratio:
            squares = ratio.numerator_squares, ratio.denominator_squares
            return ratio.count, ratio.numerator, ratio.denominator, *squares, ratio.products
        case LabelMatch() as gauge:
            return (gauge,)
    return ()


def _query(match: LabelMatch) -> Query:
    return Query(match.metric, tuple(sorted((match.match or {}).items())))


def slow_bound(check: Check) -> int:
    """Return the bound of the router's histogram, in milliseconds, that is nearest to `slowerThanSeconds`."""
    return _nearest(check.slower_than_seconds or "1")


@lru_cache(maxsize=256)
def _nearest(seconds: str) -> int:
    wanted = math.log(1000 * float(seconds))
    return min(LATENCY_BOUNDS_MS, key=lambda bound: abs(math.log(bound) - wanted))


def _buckets(check: Check) -> Query:
    """Return the query for all buckets, or for two: up to the bound, and all.

    Prometheus 2 and 3 write a bound in different ways.
    """
    query = Query(f"{LATENCY_METRIC}_bucket", ((METRIC_VIA, "split"),))
    if check.quantile is not None:
        return query
    bound = slow_bound(check)
    return replace(query, among=(("le", (f"{bound}", f"{bound}.0", ALL)),))


def _slow(series: tuple[Series, ...]) -> Events | Missing:
    """Return the requests that were slower than the bound: all, less those up to it, at scrapes that told both."""
    quick = {_without_bound(one): dict(one.samples) for one in series if one.labels.get("le") != ALL}
    bad, total = [], []
    for one in series:
        if one.labels.get("le") != ALL:
            continue
        known = quick.get(_without_bound(one))
        if known is None:
            return Missing(f"pod {one.labels.get('pod')} tells of all answers, but not of those up to the bound")
        both = [(at, value) for at, value in one.samples if at in known]
        bad.append(Series(one.labels, tuple((at, value - known[at]) for at, value in both)))
        total.append(Series(one.labels, tuple(both)))
    return Events.proportion(tuple(bad), tuple(total))


def histogram(series: Sequence[Series], unit: float = 1.0) -> Events | Missing:
    """Return the buckets of a classic histogram, at scrapes that told all of them.

    Args:
        series: Of all bounds, which the label `le` names.
        unit: What one is of what the bounds are written in: 1000 for milliseconds.
    """
    bounds = {one.labels.get("le", ""): _bound(one) for one in series}
    finite = sorted({bound / unit for bound in bounds.values() if math.isfinite(bound)})
    if series and (math.inf not in bounds.values() or not finite or finite[0] <= 0):
        told = ", ".join(sorted(bounds, key=lambda le: bounds[le]))
        return Missing(f"its buckets must be le=+Inf and at least one above 0, and they are {told or 'none'}")
    if len(finite) > MOST_BOUNDS:
        return Missing(f"it has {len(finite)} buckets, of which status holds {MOST_BOUNDS} at most")
    together: dict[frozenset[tuple[str, str]], list[Series]] = defaultdict(list)
    for one in series:
        together[_without_bound(one)].append(one)
    kinds: list[list[Series]] = [[] for _ in range(len(finite) + 1)]
    for buckets in together.values():
        if len(buckets) != len(kinds):
            return Missing(f"pod {buckets[0].labels.get('pod')} has {len(buckets)} buckets, others have {len(kinds)}")
        times = set.intersection(*({at for at, _ in one.samples} for one in buckets))
        for kind, one in zip(kinds, sorted(buckets, key=_bound), strict=True):
            kind.append(one.only(times))
    return Events(tuple(map(tuple, kinds)), histogram_of(finite), tuple(finite))


def native_histogram(series: tuple[Series, ...]) -> Events | Missing:
    """Return the buckets of native histograms, each of which tells all of its own at every scrape."""
    bounds = {one.bounds for one in series}
    if () in bounds or len(bounds) > 1:
        return Missing("it is no native histogram: see whether Prometheus scrapes it as one, or leave out `native`")
    (shared,) = bounds or {()}
    return Events((*((),) * len(shared), series), histogram_of(shared, native=True), shared)


def _bound(series: Series) -> float:
    try:
        return float(series.labels.get("le", ""))
    except ValueError:
        return math.nan


def _without_bound(series: Series) -> frozenset[tuple[str, str]]:
    return frozenset((label, value) for label, value in series.labels.items() if label != "le")


def events(check: Check, found: Found, *, history: bool = False) -> Events | Missing:
    """Return the series of a check, the newest samples or those of an hour; or why there are none."""
    asked = [replace(query, history=history) for query in _queries(check)]
    answers = [found.get(query, Missing(f"{query.metric} was not asked for")) for query in asked]
    for answer in answers:
        if isinstance(answer, Missing):
            return answer
    series = [answer for answer in answers if not isinstance(answer, Missing)]
    if check.preset is CheckPreset.ACCURACY:
        return _outcomes(series[0], check.class_coverage or {})
    if check.quantile is not None:
        return _histogram(check, series[0])
    if check.preset is CheckPreset.LATENCY:
        return _slow(series[0])
    if check.preset is None:
        return _of_counters(check, series)
    bad = tuple(one for one in series[0] if one.labels.get(RESPONSE_CLASS) == "5")
    return Events.proportion(bad, series[0])


def _histogram(check: Check, series: tuple[Series, ...]) -> Events | Missing:
    if check.histogram is None:
        return histogram(series, MILLISECONDS)
    return native_histogram(series) if check.histogram.native else histogram(series)


def _of_counters(check: Check, series: Sequence[tuple[Series, ...]]) -> Events | Missing:
    """Return the series of a check that names its counters."""
    if check.gauge is not None:
        return of_values(check, ((), *series))
    if check.of_values:
        return _scraped_together(check, series)
    if check.proportion is not None and check.proportion.good is not None:
        return Events((series[0], series[1], ()), GOOD)
    return Events.proportion(series[0], series[1])


def _outcomes(series: tuple[Series, ...], coverage: Mapping[str, str]) -> Events | Missing:
    """Return wrong predictions of those with a label, and those without one.

    With a coverage, every class counts as if as many of its labels had come as of the class with the fewest. That is inverse
    probability weighting (Horvitz & Thompson 1952) with weights of one at most, so that never more is counted than was
    seen: a thinned counter is a counter still, and its differences are whole numbers.
    """
    least, found = min(map(float, coverage.values()), default=1.0), []
    for one in series:
        of = one.labels.get("class", "")
        if not coverage or one.labels.get("outcome") == UNLABELLED:
            found.append(one)
        elif of not in coverage:
            told = f"class {of}, of which classCoverage says nothing" if of else "no class, which classCoverage needs"
            return Missing(f"{OUTCOMES_METRIC} of pod {one.labels.get('pod')} has {told}")
        else:
            kept = least / float(coverage[of])
            found.append(Series(one.labels, tuple((at, float(round(value * kept))) for at, value in one.samples)))
    wrong, correct, unlabelled = (_with_outcome(tuple(found), one) for one in (WRONG, CORRECT, UNLABELLED))
    return Events.proportion(wrong, (*wrong, *correct), unlabelled)


def of_values(check: Check, series: Sequence[tuple[Series, ...]]) -> Events:
    """Return the series of a mean, a ratio or a gauge; the number of one series is that of those beside it."""
    return Events(tuple(series), _kinds(check))


def _kinds(check: Check) -> Kinds:
    if check.gauge is not None:
        return GAUGE
    return MEAN if check.ratio is None else RATIO


def _scraped_together(check: Check, answers: Sequence[tuple[Series, ...]]) -> Events | Missing:
    """Return series of several counters, those of one exporter and labels in the same place, at scrapes that told all."""
    kinds = _kinds(check)
    chosen = {label for counter in _counters(check) for label in counter.match or ()} | {"__name__"}
    groups: dict[frozenset[tuple[str, str]], dict[int, Series]] = defaultdict(dict)
    for kind, answer in enumerate(answers):
        for one in answer:
            key = frozenset((label, value) for label, value in one.labels.items() if label not in chosen)
            if kind in groups[key]:
                return Missing(f"pod {one.labels.get('pod')} tells its {kinds.names[kind]} twice with the same labels")
            groups[key][kind] = one
    found: list[list[Series]] = [[] for _ in answers]
    for told in groups.values():
        lacking = [kinds.names[kind] for kind in range(len(answers)) if kind not in told]
        if lacking:
            pod = next(iter(told.values())).labels.get("pod")
            return Missing(f"pod {pod} does not export its {lacking[0]} with the labels of its other counters")
        times = set.intersection(*({at for at, _ in one.samples} for one in told.values()))
        for kind, one in told.items():
            found[kind].append(one.only(times))
    return of_values(check, tuple(map(tuple, found)))


def _with_outcome(series: tuple[Series, ...], outcome: str) -> tuple[Series, ...]:
    return tuple(one for one in series if one.labels.get("outcome") == outcome)


def read(check: Check, found: Found, arms: Arms) -> Readings | Missing:
    """Return what the counters of a check say."""
    series = events(check, found)
    readings = series if isinstance(series, Missing) else scrapes.read(series, arms)
    if readings:
        return readings
    asked = " or ".join(map(_told, _queries(check)))
    return Missing(f"Prometheus has no series of {asked} for either revision")


def read_before(check: Check, found: Found, arms: Arms) -> Readings | Missing:
    """Return what the counters of a check said in the hour before; nothing where what they said makes no sense."""
    series = events(check, found, history=True)
    if isinstance(series, Missing):
        return series
    readings = scrapes.read(series, arms)
    return {} if isinstance(readings, Missing) else readings


def _told(query: Query) -> str:
    """Return a query as Prometheus writes it."""
    pairs = ", ".join(
        [f'{label}="{value}"' for label, value in query.match]
        + [f'{label}=~"{"|".join(values)}"' for label, values in query.among]
    )
    return f"{query.metric}{{{pairs}}}" if pairs else query.metric


def first_request(checks: Sequence[Check], found: Found, arms: Arms, since: float, now: float) -> float | None:
    """Return a moment by which the candidate had a request, as far as counters tell; None where they tell of none.

    A prediction that is counted when it is `labelDelaySeconds` old was made so long ago.

    Args:
        checks: All checks of the rollout.
        found: What was answered to their queries.
        arms: The revisions.
        since: Scrapes up to this second of the epoch tell nothing.
        now: The moment of the look.
    """
    moments = []
    for check in checks:
        readings = read(check, found, arms)
        if not isinstance(readings, Missing):
            latest = [pod[-1] for pod in readings.values() if pod]
            if any(reading.time > since and reading.shows(reading.candidate) for reading in latest):
                moments.append(max(since, now - (check.label_delay_seconds or 0)))
    return min(moments, default=None)
