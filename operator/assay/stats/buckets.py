"""One look at a histogram of latencies, and what can be read off it without a test."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from assay.stats.counts import Floats, Look
from assay.stats.severity import Graded

MOST_SCHEMA: Final = 8
LEAST_SCHEMA: Final = -4
ROUNDING: Final = 1e-9  # by so much a bound may miss another one times a factor


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many requests of either side fell into each bucket between two looks."""

    bounds: tuple[float, ...]
    """Upper bounds of the buckets in seconds, included, increasing; the last is infinity."""
    candidate: tuple[int, ...]
    """The candidate's requests in each bucket, not cumulative."""
    stable: tuple[int, ...]
    """The stable revision's, in the same buckets."""

    def __post_init__(self) -> None:
        if wrong := _wrong(self.bounds):
            raise ValueError(f"bounds: {wrong}")
        for side, counts in (("candidate", self.candidate), ("stable", self.stable)):
            if len(counts) != len(self.bounds):
                raise ValueError(f"{side} has {len(counts)} buckets, but there are {len(self.bounds)} bounds")
            if min(counts) < 0:
                raise ValueError(f"{side} has a bucket of {min(counts)}: counts cannot be negative")

    @property
    def counts(self) -> tuple[Floats, Floats]:
        """The candidate's and the stable revision's counts."""
        return np.array(self.candidate, dtype=float), np.array(self.stable, dtype=float)


@lru_cache(maxsize=64)
def _wrong(bounds: tuple[float, ...]) -> str:
    """Return what is wrong with the bounds of a histogram; empty where nothing is."""
    if not bounds or bounds[-1] != math.inf:
        return "the last must be infinity, or the slowest requests would be missing"
    return "" if all(a < b for a, b in itertools.pairwise((0.0, *bounds))) else "must be positive and increase"


def check_bounds(known: tuple[float, ...], look: Histogram) -> None:
    """Refuse a look whose finite bounds are not the ones that a state knows; a state that knows none takes any.

    Raises:
        ValueError: They differ, so that nothing says which requests of one would be in which bucket of the other.
    """
    if known and known != look.bounds[:-1]:
        raise ValueError(f"bounds are {look.bounds[:-1]}, but were {known}: a histogram cannot be compared across them")


def nearest_bound(look: Histogram, quantile: float) -> float:
    """Return the finite bound at which the share of faster requests, both sides together, is nearest the quantile.

    It depends on the sums over both sides alone, which every test here takes as given: to choose by it costs nothing.

    Raises:
        ValueError: There are no requests, or no finite bound.
    """
    candidate, stable = look.counts
    share = np.cumsum(candidate + stable)
    if len(look.bounds) == 1 or share[-1] == 0:
        raise ValueError("no bound can be chosen: the histogram has no requests, or no finite bound")
    return look.bounds[int(np.argmin(np.abs(share[:-1] / share[-1] - quantile)))]


def slow(look: Histogram, bound: float) -> Look:
    """Requests slower than the bound as a proportion, for `assay.stats.proportion`.

    Args:
        look: Counts since the previous look.
        bound: In seconds, one of the look's bounds.

    Raises:
        ValueError: The histogram does not tell how many requests were slower than this.
    """
    if bound not in look.bounds[:-1]:
        nearest = sorted(look.bounds[:-1], key=lambda each: abs(each - bound))[:2]
        told = " and ".join(f"{each:g}" for each in sorted(nearest))
        raise ValueError(f"{bound:g} seconds is not a bound of the histogram; the nearest are {told or 'none'}")
    first = look.bounds.index(bound) + 1
    return Look(sum(look.candidate), sum(look.candidate[first:]), sum(look.stable), sum(look.stable[first:]))


def graded(look: Histogram, bound: float) -> Graded:
    """Requests slower than the bound as a proportion, those more than twice as slow as worse, for `assay.stats.severity`.

    More than twice: beyond the first bound that is at least twice this one; where there is none, nothing is worse.

    Args:
        look: Counts since the previous look.
        bound: In seconds, one of the look's bounds.

    Raises:
        ValueError: The histogram does not tell how many requests were slower than this.
    """
    whole = slow(look, bound)
    first = next(at for at, end in enumerate(look.bounds) if end >= 2 * bound * (1 - ROUNDING)) + 1
    worse = sum(look.candidate[first:]), sum(look.stable[first:])
    return Graded(whole.candidate_total, whole.candidate_bad, whole.stable_total, whole.stable_bad, *worse)


def slowed(look: Histogram, factor: float) -> Histogram:
    """Take the stable revision's requests as slower by a factor: a tolerance.

    A test that the candidate is slower than that shows that somewhere it is slower than the stable revision by more than
    the factor. A request of the stable revision is taken to have been as slow as its bucket's end, and goes to the bucket
    in which that times the factor lies. So nothing is assumed of what lies inside a bucket, and what is tolerated in truth
    reaches to the next bound: with bounds a fifth apart, up to a fifth more than the factor (and not more, where the factor
    is a power of that between bounds). What the stable revision's fastest bucket holds may have become as slow as the
    last bound reached so; up to there the candidate's buckets are joined.

    Args:
        look: Counts since the previous look.
        factor: At least 1, which changes nothing.

    Raises:
        ValueError: The factor is less than 1.
    """
    if not factor >= 1:
        raise ValueError(f"factor is {factor}: must be at least 1")
    ends = np.array(look.bounds[:-1])
    places = np.append(np.searchsorted(ends, ends * factor * (1 - ROUNDING)), len(ends))
    joined = np.maximum(np.arange(len(places)), places[0])
    candidate, stable = (
        np.bincount(to, weights=counts, minlength=len(places)).astype(int).tolist()
        for to, counts in zip((joined, places), look.counts, strict=True)
    )
    return Histogram(look.bounds, tuple(candidate), tuple(stable))


def native_bounds(schema: int, first: int, last: int) -> tuple[float, ...]:
    """Bounds for the buckets `first` to `last` of a native histogram, and one for what is beyond.

    Bucket i of schema n ends at 2 ** (i * 2 ** -n) seconds, included (Prometheus, native histograms).

    Args:
        schema: From -4 to 8; 3 makes buckets 9 % wide.
        first: The index of the first bucket; faster requests are counted in it.
        last: The index of the last one with a finite end.

    Raises:
        ValueError: No such schema, or no bucket.
    """
    if not LEAST_SCHEMA <= schema <= MOST_SCHEMA:
        raise ValueError(f"schema is {schema}: must lie between {LEAST_SCHEMA} and {MOST_SCHEMA}")
    if first > last:
        raise ValueError(f"first is {first}: must be at most last, which is {last}")
    return (*(2.0 ** (i * 2.0**-schema) for i in range(first, last + 1)), math.inf)


def native_index(schema: int, bound: float) -> int:
    """The index of the native bucket that a latency in seconds falls into; the inverse of `native_bounds`."""
    exact = math.log2(bound) * 2.0**schema
    return round(exact) if abs(exact - round(exact)) < ROUNDING else math.ceil(exact)


def native_counts(
    buckets: Mapping[int, int], first: int, last: int, *, zero: int = 0, negative: int = 0
) -> tuple[int, ...]:
    """Counts for `native_bounds(schema, first, last)` from a sparse native histogram.

    Args:
        buckets: Count of each index that has one.
        first: As in `native_bounds`; what is faster is added to it.
        last: As in `native_bounds`; what is slower goes to the bucket that ends at infinity.
        zero: Count of the zero bucket.
        negative: Count of all negative buckets.

    Raises:
        ValueError: Something took no time, or less: these are not latencies.
    """
    if zero or negative:
        raise ValueError(f"{zero} requests took no time and {negative} less than none: these are not latencies")
    counts = [0] * (last - first + 2)
    for index, count in buckets.items():
        counts[min(max(index, first), last + 1) - first] += count
    return tuple(counts)
