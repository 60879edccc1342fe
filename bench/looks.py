"""What does one look of one check cost? `checks.look`, as the operator calls it, from Prometheus' samples to the sentence."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.random import Generator
from scipy.special import ndtr

from assay.adapters import native
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
Labels: TypeAlias = tuple[int, Mapping[str, str]]
"""Which of the check's queries finds a series, and what is written on it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A check, and what is exported for it: by each pod of both revisions, as a router does."""

    name: str
    check: Check
    pods: int
    series: tuple[Labels, ...]
    grown: Grown
    analysis: Mapping[str, Any]


def _kind(name: str, spec: Mapping[str, Any], pods: int, series: list[Labels], grown: Grown, **analysis: Any) -> Kind:  # noqa: ANN401 - fields of the API
    return Kind(name, Check.model_validate({"name": "measured", **spec}), pods, tuple(series), grown, analysis)


def kinds() -> list[Kind]:
    """Return what is measured."""
    codes: list[Labels] = [(0, {"envoy_response_code_class": code}) for code in "25"]
    mean = {"count": {"metric": "count"}, "sum": {"metric": "sum"}, "sumOfSquares": {"metric": "squares"}}
    values: list[Labels] = [(query, {}) for query in range(3)]
    latency = {"preset": "latency", "quantile": "0.95"}
    own = {"histogram": {"metric": "seconds", "native": True}, "quantile": "0.95"}
    router, seconds = _buckets(LATENCY_BOUNDS_MS, 1000.0)
    two, of_two = _buckets((SLOW_MS,), 1000.0)
    grid, of_grid = _buckets(native.BOUNDS[:-1])
    return [
        _kind("errors, 1 router", {"preset": "error-ratio"}, 1, codes, _errors),
        _kind("errors, 20 routers", {"preset": "error-ratio"}, 20, codes, _errors),
        _kind("errors, rule Spending", {"preset": "error-ratio"}, 1, codes, _errors, rule="Spending"),
        _kind(
            "slow requests, 1 router", {"preset": "latency", "slowerThanSeconds": f"{SLOW_MS / 1000:g}"}, 1, two, of_two
        ),
        _kind("quantile, 1 router", latency, 1, router, seconds),
        _kind("quantile, 3 routers", latency, 3, router, seconds),
        _kind("quantile of native histograms, 20 pods", own, 20, grid, of_grid),
        _kind("mean, 20 pods", {"mean": mean}, 20, values, _values),
    ]


def _errors(dice: Generator, requests: int) -> Floats:
    bad = dice.binomial(requests, 0.01)
    return np.array([requests - bad, bad], dtype=float)


def _values(dice: Generator, requests: int) -> Floats:
    found = dice.normal(100.0, 30.0, requests)
    return np.array([requests, found.sum(), (found**2).sum()])


def _buckets(bounds: tuple[float, ...], unit: float = 1.0) -> tuple[list[Labels], Grown]:
    upto = ndtr(np.log(np.array(bounds) / unit / MEDIAN) / SIGMA)
    shares = np.diff(upto, prepend=0.0, append=1.0)

    def grown(dice: Generator, requests: int) -> Floats:
        return np.cumsum(dice.multinomial(requests, shares)).astype(float)

    return [(0, {"le": le}) for le in (*map(repr, bounds), "+Inf")], grown


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
        inside = [at for at, moment in enumerate(times) if now - WINDOW < moment <= now]
        answers: dict[int, list[Series]] = {}
        for labels, rows in tracks:
            for column, (query, more) in enumerate(kind.series):
                samples = tuple((float(times[at]), float(rows[at, column])) for at in inside)
                answers.setdefault(query, []).append(Series({**labels, **more}, samples))
        found.append({query: tuple(answers[place]) for place, query in enumerate(queries)})
    return found


def milliseconds(kind: Kind, seed: int = 1) -> float:
    """Return what a look takes of a processor: the median of `LOOKS` looks, none of which decides."""
    dice = np.random.default_rng(seed)
    analysis = Analysis.model_validate({"checks": [kind.check], "warmupSeconds": 0, "dispersion": "1", **kind.analysis})
    spent, status = [], None
    for look, found in enumerate(_found(kind, dice)):
        now = datetime.fromtimestamp(WINDOW + look * BETWEEN, UTC)
        trial = Trial(ARMS, analysis, now, 0.0)
        status = status or checks.begin(kind.check, trial)
        begun = time.process_time()
        status = checks.look(kind.check, status, found, trial)
        spent.append(time.process_time() - begun)
    if status is None or status.measured_looks < LOOKS - 1 or status.verdict is Verdict.FAIL:
        raise SystemExit(f"{kind.name}: the looks were to count and not to roll back, but: {status and status.reason}")
    return 1000 * float(np.median(spent[FIRST:]))


if __name__ == "__main__":
    for one in kinds():
        print(f"{milliseconds(one):8.2f} ms  {one.name}")
