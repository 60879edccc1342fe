"""Pods are scraped at different moments, so a burst that strikes both revisions seems to strike one of them first.

Pods of the stable revision are scraped at different moments too. What they differ by in the hour before is therefore the
same skew, and counts are divided by it.
"""

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.api.base import Verdict
from assay.api.checks import Check
from assay.api.modeldeployment import CheckStatus, ModelDeployment
from assay.core import dispersion, scrapes
from assay.core.decision import Series
from assay.core.hypotheses import Trial
from assay.core.names import METRIC_REVISION
from assay.core.replay import EPOCH, replay
from assay.core.scrapes import Arms, Events
from assay.stats.dispersion import ASSUMED, CAUTION, HOPELESS
from assay.stats.proportion import harm, reached, start, update
from core.simulation import a_spec

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "decisions.md"
ARMS = Arms("stable", "candidate")
TICK = 2.5
HOUR = round(3600 / TICK)
LOOKS, RUNS, LEVEL = 40, 150, 0.05
AT_MOST = LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / RUNS)
PER_SECOND = 200
QUIET, BURST = 0.005, 0.1
"""Rates of bad answers of both revisions. Bursts last half a minute on average, and come every four minutes."""


@dataclass(frozen=True)
class Skew:
    """How both revisions are scraped."""

    scrapes: int
    """Seconds between two scrapes of a pod."""
    looks: int
    """Seconds between two looks."""
    weight: float
    stable: int
    candidate: int
    """Pods."""

    @property
    def period(self) -> int:
        """Ticks between two scrapes."""
        return round(self.scrapes / TICK)

    @property
    def every(self) -> int:
        """Ticks between two looks."""
        return round(self.looks / TICK)


@dataclass(frozen=True)
class Rollout:
    """What the pods counted, stable's first; shape (pods, ticks + 1)."""

    skew: Skew
    bad: Any
    total: Any
    offset: Any
    """Ticks by which each pod is scraped later."""

    def at(self, pod: int, tick: int) -> tuple[int, int]:
        """Bad and all of a pod, as Prometheus knows them at a tick."""
        scraped = max((tick - self.offset[pod]) // self.skew.period * self.skew.period + self.offset[pod], 0)
        return int(self.bad[pod, scraped]), int(self.total[pod, scraped])

    @property
    def ticks(self) -> list[int]:
        """Of the looks, the first being what the next one subtracts."""
        return [HOUR + self.skew.period + look * self.skew.every for look in range(LOOKS + 1)]

    def looks(self) -> list[list[int]]:
        """Candidate total and bad, stable total and bad, since the beginning."""
        found = []
        for tick in self.ticks:
            pods = [self.at(pod, tick) for pod in range(self.skew.stable + self.skew.candidate)]
            arms = pods[self.skew.stable :], pods[: self.skew.stable]
            found.append([sum(one[place] for one in arm) for arm in arms for place in (1, 0)])
        return [[now - first for now, first in zip(look, found[0], strict=True)] for look in found]

    def series(self, ticks: list[int]) -> Events:
        """What Prometheus has at these ticks."""
        series: tuple[list[Series], list[Series]] = ([], [])
        for pod in range(self.skew.stable + self.skew.candidate):
            role = "stable" if pod < self.skew.stable else "candidate"
            for kind in (0, 1):
                samples = tuple((tick * TICK, float(self.at(pod, tick)[kind])) for tick in ticks)
                series[kind].append(Series({METRIC_REVISION: role, "pod": f"{role}-{pod}"}, samples))
        return Events.proportion(tuple(series[0]), tuple(series[1]))


def simulated(dice: np.random.Generator, skew: Skew, burst: float = BURST) -> Rollout:
    ticks = HOUR + 2 * skew.period + (LOOKS + 1) * skew.every
    rate, at = np.full(ticks, QUIET), 0.0
    while at < ticks:
        at += dice.exponential(200 / TICK)
        lasts = dice.exponential(30 / TICK)
        rate[int(at) : int(at + lasts)] = burst
        at += lasts
    pods = skew.stable + skew.candidate
    requests = np.zeros((pods, ticks), np.int64)
    requests[: skew.stable, :HOUR] = round(PER_SECOND * TICK / skew.stable)
    requests[: skew.stable, HOUR:] = round(PER_SECOND * TICK * (1 - skew.weight) / skew.stable)
    requests[skew.stable :, HOUR:] = round(PER_SECOND * TICK * skew.weight / skew.candidate)
    bad, total = (
        np.concatenate([np.zeros((pods, 1), np.int64), one.cumsum(axis=1)], axis=1)
        for one in (dice.binomial(requests, rate), requests)
    )
    return Rollout(skew, bad, total, dice.integers(0, skew.period, pods))


@cache
def rollouts(skew: Skew) -> list[Rollout]:
    dice = np.random.default_rng(20261121)
    return [simulated(dice, skew) for _ in range(RUNS)]


def rolled_back(rollout: Rollout, divisor: float) -> bool:
    if divisor == 0:
        return False  # pods of stable differ so much that there is no data
    rule = harm(LEVEL, 1.0)
    evidence, looks = start(rule), rollout.looks()
    for before, after in pairwise(looks):
        evidence = update(rule, evidence, dispersion.weighed(before, after, divisor))
    return reached(rule, evidence)


CHECK = {"name": "bad", "proportion": {"bad": {"metric": "bad_total"}, "total": {"metric": "all_total"}}}
SPEC = ModelDeployment.model_validate(
    {"metadata": {"name": "flights"}, "spec": a_spec(analysis__checks=[CHECK], analysis__warmupSeconds=0)}
).spec
HALF_MINUTES = [round(half_minute * 30 / TICK) for half_minute in range(121)]


def divisor(rollout: Rollout) -> float:
    """What the operator measures in the hour before."""
    readings = scrapes.read(rollout.series(HALF_MINUTES), ARMS)
    begun = CheckStatus(name="bad", verdict=Verdict.UNDECIDED)
    trial = Trial(ARMS, SPEC.analysis, EPOCH, None)
    return dispersion.with_dispersion(SPEC.analysis.checks[0], begun, lambda: readings, trial)[0].dispersion


@cache
def wrong(skew: Skew, *, divided: bool = True) -> float:
    return sum(rolled_back(one, divisor(one) if divided else 1.0) for one in rollouts(skew)) / RUNS


SEEN = [Skew(15, 15, 0.1, 3, 1), Skew(15, 15, 0.5, 10, 5), Skew(30, 30, 0.5, 3, 2)]
ALONE = [Skew(15, 15, 0.5, 1, 1), Skew(30, 30, 0.5, 1, 1), Skew(60, 60, 0.5, 1, 1)]


@pytest.mark.parametrize("skew", SEEN, ids=str)
def test_what_skew_adds_is_seen_in_the_hour_before_and_an_equal_candidate_is_rarely_rolled_back(skew: Skew) -> None:
    assert wrong(skew) <= AT_MOST


def test_without_the_division_skew_alone_rolls_back() -> None:
    assert wrong(SEEN[-1], divided=False) > 2 * AT_MOST


def test_a_single_pod_of_stable_is_compared_with_itself_half_a_minute_later() -> None:
    assert all(ASSUMED < divisor(one) <= CAUTION * HOPELESS for one in rollouts(ALONE[1]))
    assert wrong(ALONE[1]) <= AT_MOST


def test_a_single_router_counts_both_revisions_at_once_and_is_not_compared_with_itself() -> None:
    readings = scrapes.read(rollouts(ALONE[1])[0].series(HALF_MINUTES), ARMS)
    for preset in ("error-ratio", "latency"):
        check = {"name": "bad", "preset": preset, **({"slowerThanSeconds": "1"} if preset == "latency" else {})}
        begun = CheckStatus(name="bad", verdict=Verdict.UNDECIDED)
        trial = Trial(ARMS, SPEC.analysis, EPOCH, None)

        status, _ = dispersion.with_dispersion(Check.model_validate(check), begun, lambda: readings, trial)

        assert status.dispersion == ASSUMED


def test_a_single_pod_whose_requests_fail_one_by_one_and_at_one_rate_is_not_divided() -> None:
    dice = np.random.default_rng(5)
    even = [simulated(dice, Skew(15, 15, 0.5, 1, 1), burst=QUIET) for _ in range(40)]

    assert sum(divisor(one) == 1.0 for one in even) > 30
    assert max(divisor(one) for one in even) < 2.2


def test_what_is_assumed_of_a_single_pod_would_be_too_little() -> None:
    assert sum(rolled_back(one, ASSUMED) for one in rollouts(ALONE[1])) / RUNS > AT_MOST


@pytest.mark.exhaustive
@pytest.mark.parametrize("skew", [*SEEN, *ALONE], ids=str)
def test_what_the_page_says_is_what_was_simulated(skew: Skew) -> None:
    where = f"{skew.scrapes} s, {skew.looks} s | {skew.weight:.0%} | {skew.stable}, {skew.candidate} |".replace(
        "%", " %"
    )
    (row,) = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {where}")]

    told = f"| {wrong(skew, divided=False):.0%} | {wrong(skew):.0%} |".replace("%", " %")
    assert row.replace("*", "").endswith(told), told


def test_the_operator_measures_the_same_and_counts_the_same() -> None:
    rollout = simulated(np.random.default_rng(3), Skew(30, 30, 0.5, 3, 2))
    recording, history = ({"bad": rollout.series(ticks)} for ticks in (rollout.ticks, HALF_MINUTES))

    looks = list(replay(SPEC, recording, history))

    assert looks[-1].checks[0].dispersion == divisor(rollout) > 1.5
    assert [one.checks[0].totals for one in looks[1:]] == rollout.looks()[1 : len(looks)]
