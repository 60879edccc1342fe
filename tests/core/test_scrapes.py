"""A native histogram says all of its buckets in one series. Is it read, counted and judged as if each had one of its own?"""

from typing import Any

import numpy as np
import pytest
from numpy.random import Generator

from assay.core import evidence, measures, scrapes
from assay.core.decision import Missing, Series
from assay.core.kinds import MEAN, histogram_of
from assay.core.names import METRIC_REVISION
from assay.core.replay import Judged, replay
from assay.core.scrapes import Arms, Events, Readings
from assay.stats.moments import LARGEST
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
        told(dice, role, f"pod-{pod}", law, [time + pod / 8 for time in times])
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
    return {
        target: [(one.time, tuple(one.sums.tolist()), one.told) for one in found] for target, found in readings.items()
    }


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


def mean(
    *scrapes_of: tuple[float, tuple[float, float, float] | None, tuple[float, float, float]],
) -> Readings | Missing:
    """Two series of one pod's count, sum and squares at each scrape; the first may be missing."""
    kinds: list[tuple[Series, ...]] = []
    labels = {METRIC_REVISION: "candidate", "pod": "p"}
    for kind in range(3):
        first = tuple((at, one[kind]) for at, one, _ in scrapes_of if one is not None)
        second = tuple((at, one[kind]) for at, _, one in scrapes_of)
        kinds.append((Series({**labels, "country": "a"}, first), Series({**labels, "country": "b"}, second)))
    return scrapes.read(Events(tuple(kinds), MEAN), ARMS)


def test_a_sum_began_anew_where_the_count_beside_it_did() -> None:
    """The first series ends with ten values, and comes back with three: its sum of 7 is of these three, though it was 5."""
    ended = mean((10, (10, 5, 5), (4, 4, 4)), (20, None, (5, 5, 5)), (30, (3, 7, 49), (6, 6, 6)))
    assert not isinstance(ended, Missing)

    assert evidence.count((), ended, 0.0).candidate == (3 + 2, 7 + 2, 49 + 2)


def test_a_sum_that_fell_beside_a_count_that_grew_has_not_begun_anew() -> None:
    fell = mean((10, (10, 5, 25), (4, 4, 4)), (20, (11, -4, 106), (5, 5, 5)))
    assert not isinstance(fell, Missing)

    assert evidence.count((), fell, 0.0).candidate == (1 + 1, -9 + 1, 81 + 1)


def a_series(value: float, role: str = "stable") -> Series:
    return Series({METRIC_REVISION: role, "pod": "p"}, ((10.0, value),))


def test_so_much_can_be_counted_exactly_and_no_more() -> None:
    most = 2.0**53 - 1
    assert not isinstance(scrapes.read(Events.proportion((), (a_series(most),)), ARMS), Missing)
    for value in (most + 1, -1.0):
        assert scrapes.read(Events.proportion((), (a_series(value),)), ARMS) == Missing(
            "pod p counts less than nothing, or more than can be counted exactly"
        )


def test_with_so_large_a_sum_anybody_can_calculate_and_with_no_larger() -> None:
    def read(total: float) -> Readings | Missing:
        return scrapes.read(Events(((a_series(1),), (a_series(total),), (a_series(1),)), MEAN), ARMS)

    assert not isinstance(read(-LARGEST), Missing)
    assert read(-2 * LARGEST) == Missing(
        f"pod p tells of a sum of values beyond {LARGEST:g}, with which nobody can calculate"
    )


@pytest.mark.parametrize("bad", [0.0, 1.0])
def test_bad_events_without_all_events_are_told_though_there_were_none(bad: float) -> None:
    found = scrapes.read(Events.proportion((a_series(bad),), ()), ARMS)

    assert found == Missing("pod p exports bad events apart from all events; both must come from the same scrape")
