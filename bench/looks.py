"""What does one look of one check cost? `checks.look`, as the operator calls it, from Prometheus' samples to the sentence."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.random import Generator
from scipy.special import ndtr

from assay.adapters.native import BOUNDS
from assay.api.base import Verdict
from assay.api.checks import Check
from assay.api.modeldeployment import Analysis
from assay.core import checks, measures
from assay.core.decision import Series
from assay.core.hypotheses import Trial
from assay.core.measures import Found
from assay.core.names import LATENCY_BOUNDS_MS
from assay.core.scrapes import Arms
from assay.stats.counts import Floats

GRID: Final = BOUNDS[:-1]
ARMS: Final = Arms("aaaaaaaa", "bbbbbbbb")
REQUESTS: Final = 300_000
"""Of both revisions together, between two looks."""
LOOKS, BETWEEN, SCRAPE, WINDOW = 40, 30.0, 15.0, 60.0
"""How many looks, and seconds: between two of them, between two scrapes, and of samples that Prometheus is asked for."""
FIRST: Final = 5  # looks that are not measured: what is computed once and kept is no part of it
SLOW_MS: Final = float(min(LATENCY_BOUNDS_MS, key=lambda bound: abs(bound - 250)))
MEDIAN, SIGMA = 0.08, 0.6  # of the latencies, in seconds

Grown: TypeAlias = Callable[[Generator, int], Floats]
"""From dice and a number of requests: by how much each series of one pod and one revision grew."""
Told: TypeAlias = Callable[[Mapping[str, str], Floats, Floats], list[tuple[int, Series]]]
"""From labels, times and a row for each: the series, and which of the check's queries finds it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A check, and what is exported for it: by each pod of both revisions, as a router does."""

    name: str
    pods: int
    check: Check
    grown: Grown
    told: Told
    analysis: Mapping[str, Any] = field(default_factory=dict)


def kinds() -> list[Kind]:
    """Return what is measured."""
    errors = _check(preset="error-ratio")
    slow = _check(preset="latency", slowerThanSeconds=f"{SLOW_MS / 1000:g}")
    quantile = _check(preset="latency", quantile="0.95")
    native = _check(histogram={"metric": "seconds", "native": True}, quantile="0.95")
    mean = _check(mean={name: {"metric": name} for name in ("count", "sum", "sumOfSquares")})
    codes = _apart(*((0, {"envoy_response_code_class": code}) for code in "25"))
    router = _latencies(LATENCY_BOUNDS_MS, 1000.0), _buckets(LATENCY_BOUNDS_MS)
    return [
        Kind("errors", 1, errors, _errors, codes),
        Kind("errors", 20, errors, _errors, codes),
        Kind("errors, `rule: Spending`", 1, errors, _errors, codes, {"rule": "Spending"}),
        Kind("slow requests", 1, slow, _latencies((SLOW_MS,), 1000.0), _buckets((SLOW_MS,))),
        Kind("quantile of latency", 1, quantile, *router),
        Kind("quantile of latency", 3, quantile, *router),
        Kind("quantile of a native histogram", 20, native, _latencies(GRID), _together),
        Kind("mean", 20, mean, _values, _apart(*((query, {}) for query in range(3)))),
    ]


def _check(**fields: Any) -> Check:  # noqa: ANN401 - fields of the API
    return Check.model_validate({"name": "measured", **fields})


def _apart(*series: tuple[int, Mapping[str, str]]) -> Told:
    """A series for each column."""

    def told(labels: Mapping[str, str], times: Floats, rows: Floats) -> list[tuple[int, Series]]:
        return [
            (query, Series({**labels, **more}, tuple(zip(times.tolist(), column.tolist(), strict=True))))
            for (query, more), column in zip(series, rows.T, strict=True)
        ]

    return told


def _buckets(bounds: tuple[float, ...]) -> Told:
    return _apart(*((0, {"le": le}) for le in (*map(repr, bounds), "+Inf")))


def _together(labels: Mapping[str, str], times: Floats, rows: Floats) -> list[tuple[int, Series]]:
    """All columns in one series, as a native histogram has them."""
    samples = tuple(zip(times.tolist(), rows[:, -1].tolist(), strict=True))
    return [(0, Series(labels, samples, GRID, rows[:, :-1]))]


def _errors(dice: Generator, requests: int) -> Floats:
    bad = dice.binomial(requests, 0.01)
    return np.array([requests - bad, bad], dtype=float)


def _values(dice: Generator, requests: int) -> Floats:
    found = dice.normal(100.0, 30.0, requests)
    return np.array([requests, found.sum(), (found**2).sum()])


def _latencies(bounds: tuple[float, ...], unit: float = 1.0) -> Grown:
    upto = ndtr(np.log(np.array(bounds) / unit / MEDIAN) / SIGMA)
    shares = np.diff(upto, prepend=0.0, append=1.0)

    def grown(dice: Generator, requests: int) -> Floats:
        return np.cumsum(dice.multinomial(requests, shares)).astype(float)

    return grown


def _found(kind: Kind, dice: Generator) -> Sequence[Found]:
    """Return what is answered to the queries of each look."""
    queries = measures.queries([kind.check])
    each = REQUESTS // (2 * kind.pods * round(BETWEEN / SCRAPE))
    times = np.arange(0.0, (LOOKS + 1) * BETWEEN + SCRAPE, SCRAPE) + 1.0
    tracks = []
    for revision in (ARMS.stable, ARMS.candidate):
        for pod in range(kind.pods):
            rows = np.cumsum([kind.grown(dice, each) for _ in times], axis=0)
            tracks.append(({"pod": f"pod-{pod}", "instance": f"{pod}", "assay_revision": revision}, rows))
    found = []
    for look in range(LOOKS + 1):
        now = WINDOW + look * BETWEEN
        inside = (now - WINDOW < times) & (times <= now)
        told = [one for labels, rows in tracks for one in kind.told(labels, times[inside], rows[inside])]
        found.append({query: tuple(one for at, one in told if at == place) for place, query in enumerate(queries)})
    return found


def milliseconds(kind: Kind, seed: int = 1) -> float:
    """Return what a look takes of a processor: the median of `LOOKS` looks, none of which rolls back."""
    dice = np.random.default_rng(seed)
    analysis = Analysis.model_validate({"checks": [kind.check], "warmupSeconds": 0, "dispersion": "1", **kind.analysis})
    status = checks.begin(kind.check, Trial(ARMS, analysis, datetime.fromtimestamp(0, UTC), 0.0))
    spent = []
    for look, found in enumerate(_found(kind, dice)):
        trial = Trial(ARMS, analysis, datetime.fromtimestamp(WINDOW + look * BETWEEN, UTC), 0.0)
        begun = time.process_time()
        status = checks.look(kind.check, status, found, trial)
        spent.append(time.process_time() - begun)
    if status.measured_looks < LOOKS - 1 or status.verdict is Verdict.FAIL:
        raise SystemExit(f"{kind.name}: every look was to count, and none to roll back: {status.reason}")
    return 1000 * statistics.median(spent[FIRST:])


def measured() -> list[dict[str, Any]]:
    """Return what a look of each kind costs, as `bench/measured.json` keeps it."""
    return [{"name": one.name, "pods": one.pods, "milliseconds": milliseconds(one)} for one in kinds()]
