"""A native histogram says all of its buckets in one series. Is it read, counted and judged as if each had one of its own?"""

from typing import Any

import numpy as np
import pytest
from numpy.random import Generator

from assay.core import evidence, measures, scrapes
from assay.core.decision import Missing, Series
from assay.core.kinds import histogram_of
from assay.core.names import METRIC_REVISION
from assay.core.replay import Judged, replay
from assay.core.scrapes import Arms, Events, Readings
from core.test_replay import spec_of

ARMS = Arms("stable", "candidate")
BOUNDS = (0.1, 0.2, 0.4, 0.8)
HEALTHY, SLOW = (0.5, 0.3, 0.15, 0.04, 0.01), (0.3, 0.3, 0.25, 0.1, 0.05)


def told(dice: Generator, role: str, pod: str, law: tuple[float, ...], scrapes_at: list[float]) -> Series:
    """What one pod tells of one revision; it restarts in the middle, and now and then a scrape is lost."""
    rows = np.cumsum(dice.multinomial(200, law, size=len(scrapes_at)).cumsum(axis=1), axis=0).astype(float)
    half = len(rows) // 2
    rows[half:] -= rows[half - 1]
    kept = np.flatnonzero(dice.random(len(rows)) < 0.9)
    samples = tuple((scrapes_at[at], float(rows[at, -1])) for at in kept)
    return Series({METRIC_REVISION: role, "pod": pod}, samples, BOUNDS, rows[kept, :-1])


def recorded(candidate: tuple[float, ...], seed: int) -> tuple[Events, Events]:
    """The same recording: each histogram in one series, and in one for each bucket."""
    dice = np.random.default_rng(seed)
    times = [15.0 * look for look in range(80)]
    whole = tuple(
        told(dice, role, f"{role}-{pod}", law, [time + pod / 8 for time in times])
        for role, law in (("stable", HEALTHY), ("candidate", candidate))
        for pod in range(3)
    )
    found = measures.native_histogram(whole)
    assert not isinstance(found, Missing)
    kinds: list[list[Series]] = [[] for _ in range(len(BOUNDS) + 1)]
    for one in whole:
        assert one.upto is not None
        for kind, column in zip(kinds, (*one.upto.T, [value for _, value in one.samples]), strict=True):
            samples = zip((at for at, _ in one.samples), map(float, column), strict=True)
            kind.append(Series(one.labels, tuple(samples)))
    return found, Events(tuple(map(tuple, kinds)), histogram_of(BOUNDS, native=True), BOUNDS)


def numbers(readings: Readings | Missing) -> dict[Any, Any]:
    assert not isinstance(readings, Missing)
    return {target: [(one.time, one.numbers, one.told) for one in found] for target, found in readings.items()}


@pytest.mark.parametrize("seed", range(5))
def test_it_is_read_and_counted_as_if_each_bucket_had_a_series(seed: int) -> None:
    together, apart = (scrapes.read(events, ARMS) for events in recorded(HEALTHY, seed))

    assert numbers(together) == numbers(apart)
    assert not isinstance(together, Missing)
    assert not isinstance(apart, Missing)
    assert evidence.count((), together, 100.0) == evidence.count((), apart, 100.0)
    assert sum(evidence.count((), together, 100.0).events) > 70_000


@pytest.mark.parametrize("candidate", [HEALTHY, SLOW])
def test_a_recording_of_it_is_judged_as_if_each_bucket_had_a_series(candidate: tuple[float, ...]) -> None:
    check = {"name": "latency", "histogram": {"metric": "seconds", "native": True}, "quantile": "0.9"}
    spec = spec_of(analysis={"checks": [check], "warmupSeconds": 0, "dispersion": "1"})

    def judged(events: Events) -> list[Judged]:
        return list(replay(spec, {"latency": events}))

    together, apart = map(judged, recorded(candidate, 1))
    assert [one.decision for one in together] == [one.decision for one in apart]
    assert [one.checks for one in together] == [one.checks for one in apart]
    assert together[-1].checks[0].requests > 1_000


def test_its_samples_can_be_picked() -> None:
    whole = told(np.random.default_rng(1), "stable", "p", HEALTHY, [1.0, 2.0, 3.0, 4.0])
    assert whole.upto is not None
    times = [at for at, _ in whole.samples]

    picked = whole.only(times[1:])

    assert picked.samples == whole.samples[1:]
    assert picked.upto is not None
    assert picked.upto.tolist() == whole.upto[1:].tolist()
    assert whole.only(times) is whole


@pytest.mark.parametrize("more", [(), (Series({"pod": "q"}, ((1.0, 2.0),), (0.1,), np.array([[1.0]])),)])
def test_what_is_not_scraped_as_a_native_histogram_is_told(more: tuple[Series, ...]) -> None:
    found = measures.native_histogram((Series({"pod": "p", "le": "0.1"}, ((1.0, 2.0),)), *more))

    assert found == Missing(
        "it is no native histogram: see whether Prometheus scrapes it as one, or leave out `native`"
    )
    assert measures.native_histogram(()) == Events(((),), histogram_of((), native=True))
