"""In which worlds are rules compared? Each is a stream of counts, simulated; a look is 30 seconds, a rollout 60 looks."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from peers.streams import Floats, Ints, Streams

LOOKS = 60
LOOK_SECONDS = 30
INTERVALS = 120
"""Half minutes of the hour before."""
PODS = 9
Dice: TypeAlias = np.random.Generator


@dataclass(frozen=True, slots=True)
class Known:
    """What an oracle knows."""

    requests: int
    """Candidate requests per look."""
    null: float
    """Rate of a healthy candidate."""
    truth: float
    """Rate of the candidate."""


@dataclass(frozen=True, slots=True)
class World:
    """One way the world may be."""

    name: str
    healthy: bool
    """Whether a rollback is wrong here."""
    streams: Callable[[Dice, int], Any]
    """Simulates so many rollouts."""
    known: Known | None = None


def odds(rate: Floats, ratio: float) -> Floats:
    """Return the rate whose odds are so many times those of another."""
    return ratio * rate / (1 - rate + ratio * rate)


def drawn(dice: Dice, totals: tuple[Ints, Ints], rates: tuple[Floats, Floats]) -> Streams:
    """Draw the bad ones of candidate and stable; totals and rates are of shape (runs, looks)."""
    candidate, stable = totals
    return Streams(candidate, dice.binomial(candidate, rates[0]), stable, dice.binomial(stable, rates[1]))


def split(runs: int, requests: int, weight: Floats) -> tuple[Ints, Ints]:
    """Return the requests of candidate and stable, for one weight per look."""
    candidate = np.tile(np.rint(requests * weight).astype(np.int64), (runs, 1))
    return candidate, requests - candidate


def steady(stable: float, candidate: float, requests: int = 3000, weight: float = 0.1) -> World:
    """Two rates that stay as they are; the other regimes differ in requests per look and weight."""

    def streams(dice: Dice, runs: int) -> Streams:
        totals = split(runs, requests, np.full(LOOKS, weight))
        return drawn(dice, totals, (np.full((runs, LOOKS), candidate), np.full((runs, LOOKS), stable)))

    name = f"{100 * stable:g} % -> {100 * candidate:g} %, {requests:,} per look, weight {100 * weight:g} %"
    known = Known(round(requests * weight), stable, candidate)
    return World(name, candidate <= stable, streams, known)


def shared(name: str, weight: Floats, rate: Callable[[Dice, int], Floats], ratio: float, requests: int = 3000) -> World:
    """A rate that moves, for both sides; the candidate's odds are so many times the stable revision's."""

    def streams(dice: Dice, runs: int) -> Streams:
        rates = rate(dice, runs)
        return drawn(dice, split(runs, requests, weight), (odds(rates, ratio), rates))

    return World(name, ratio <= 1, streams)


def _always(rates: Floats) -> Callable[[Dice, int], Floats]:
    return lambda _, runs: np.tile(rates, (runs, 1))


def _bursts(dice: Dice, runs: int) -> Floats:
    return np.where(dice.random((runs, LOOKS)) < 0.15, 0.10, 0.005)  # noqa: PLR2004 - nine of sixty looks


def _missing(dice: Dice, runs: int) -> Streams:
    """Two of three scrapes are lost; the next one carries what was missed."""
    full = DRIFT.streams(dice, runs).cumulated()
    there = dice.random((runs, LOOKS)) < 1 / 3

    def counted(total: Ints) -> Ints:
        last = np.maximum.accumulate(np.where(there, total, 0), axis=1)
        return np.diff(last, axis=1, prepend=0)

    return Streams(
        counted(full.candidate_total),
        counted(full.candidate_bad),
        counted(full.stable_total),
        counted(full.stable_bad),
    )


def _adaptive(dice: Dice, runs: int) -> Streams:
    """The weight goes up where the candidate had more than its share of errors, and down where it had less."""
    weight, looks = np.full(runs, 0.1), []
    for rate in RISING:
        candidate = np.rint(3000 * weight).astype(np.int64)
        bad, other = dice.binomial(candidate, rate), dice.binomial(3000 - candidate, rate)
        looks.append((candidate, bad, 3000 - candidate, other))
        more = bad > weight * (bad + other)
        weight = np.where(more, np.minimum(0.5, weight * 1.5), np.maximum(0.02, weight / 1.5))
    candidate_total, candidate_bad, stable_total, stable_bad = (
        np.stack(part, axis=1) for part in zip(*looks, strict=True)
    )
    return Streams(candidate_total, candidate_bad, stable_total, stable_bad)


def _perfect(dice: Dice, runs: int) -> Streams:
    totals = split(runs, 3000, TENTH)
    return drawn(dice, totals, (np.full((runs, LOOKS), 0.01), np.zeros((runs, LOOKS))))


def _hour(bad: Ints) -> Ints:
    """Return the history of the stable pods, of 300 requests each per half minute."""
    return np.stack((bad, np.full(bad.shape, 300)), axis=-1)


def _clusters(dice: Dice, runs: int) -> Streams:
    """Errors come three at a time on average (geometric), each cluster on one side and one pod."""

    def bad(shape: tuple[int, ...], requests: int) -> Ints:
        clusters = dice.poisson(requests * 0.01 / 3, shape)
        more = np.where(clusters > 0, dice.negative_binomial(np.maximum(clusters, 1), 1 / 3), 0)
        return np.minimum(clusters + more, requests)

    candidate, stable = split(runs, 3000, TENTH)
    hour = _hour(bad((runs, INTERVALS, PODS), 300))
    return Streams(candidate, bad((runs, LOOKS), 300), stable, bad((runs, LOOKS), 2700), hour)


def _lottery(dice: Dice, runs: int) -> Streams:
    """Pods of the same revision differ by 20 % (gamma), and the candidate is one pod beside nine."""
    rates = dice.gamma(25, 0.01 / 25, (runs, 1, 1 + PODS))
    seen = dice.binomial(300, np.broadcast_to(rates, (runs, LOOKS, 1 + PODS)))
    hour = _hour(dice.binomial(300, np.broadcast_to(rates[:, :, 1:], (runs, INTERVALS, PODS))))
    candidate, stable = split(runs, 3000, TENTH)
    return Streams(candidate, seen[:, :, 0], stable, seen[:, :, 1:].sum(axis=2), hour)


def _cold(dice: Dice, runs: int) -> Streams:
    """The candidate fails 3 % of its requests in its first minute."""
    rates = np.full((runs, LOOKS), 0.01)
    warming = np.where(np.arange(LOOKS) < 60 // LOOK_SECONDS, 0.03, rates)
    drawn_ = drawn(dice, split(runs, 3000, TENTH), (warming, rates))
    return replace(drawn_, history=_hour(dice.binomial(300, 0.01, (runs, INTERVALS, PODS))))


THROUGH = np.arange(LOOKS) / (LOOKS - 1)
TENTH = np.full(LOOKS, 0.1)
RAMP = 0.05 + 0.45 * THROUGH
RISING = 0.005 + 0.025 * THROUGH

MAIN = (steady(0.009, 0.009), steady(0.01, 0.01), steady(0.01, 0.015), steady(0.01, 0.02), steady(0.01, 0.05))
REGIMES = tuple(
    steady(0.01, truth, requests, weight)
    for requests, weight in ((300, 0.1), (30_000, 0.01), (3000, 0.5))
    for truth in (0.01, 0.015, 0.02)
)
DRIFT = shared(
    "a day in half an hour: 0.4 % to 1.6 % and back, both sides",
    TENTH,
    _always(0.01 - 0.006 * np.cos(2 * math.pi * THROUGH)),
    1.0,
)
TRAPS = (
    shared("bursts of a shared dependency: now and then 10 % instead of 0.5 %, both sides", TENTH, _bursts, 1.0),
    DRIFT,
    shared("weight 5 % to 50 % while the shared rate rises from 0.5 % to 3 %", RAMP, _always(RISING), 1.0),
    World("weight that follows what was seen, rate rising as above", healthy=True, streams=_adaptive),
    World("two of three scrapes lost, rate as in the day above", healthy=True, streams=_missing),
    shared("three candidate requests per look", TENTH, _always(np.full(LOOKS, 0.01)), 1.0, requests=30),
    shared(
        "weight 5, 25, 50 % while the rate falls from 3 % to 0.5 %, 1,000 per look, odds ratio 1.6",
        np.repeat([0.05, 0.25, 0.5], LOOKS // 3),
        _always(0.03 * (1 / 6) ** THROUGH),
        1.6,
        requests=1000,
    ),
    World("stable never fails, candidate 1 %", healthy=False, streams=_perfect),
    shared(
        "three candidate requests per look, 20 % instead of 1 %",
        TENTH,
        _always(np.full(LOOKS, 0.01)),
        0.25 / (0.01 / 0.99),
        requests=30,
    ),
)
BEYOND = (
    World("errors in clusters of three, each on one side", healthy=True, streams=_clusters),
    World("one candidate pod beside nine, pods differ by 20 %", healthy=True, streams=_lottery),
    World("candidate fails 3 % in its first minute only", healthy=True, streams=_cold),
)
