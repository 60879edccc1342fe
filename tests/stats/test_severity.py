"""Is the law of severities exact, and does a bet on it keep the promise of `proportion`?"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats import proportion, severity
from assay.stats.proportion import Evidence, Look, Rule
from assay.stats.severity import Graded

HARM = proportion.harm(0.05, 1.0)
Cells: TypeAlias = tuple[int, int, int]
"""How many requests of one side were good, bad and no more, and worse."""


def graded(candidate: Cells, stable: Cells) -> Graded:
    (good, bad, worse), (stable_good, stable_bad, stable_worse) = candidate, stable
    totals = good + bad + worse, bad + worse, stable_good + stable_bad + stable_worse, stable_bad + stable_worse
    return Graded(*totals, candidate_worse=worse, stable_worse=stable_worse)


def splits(size: int, pooled: Cells) -> Iterator[tuple[Graded, int]]:
    """Each way in which a candidate of this size can have its share of the pooled cells, and in how many ways it can."""
    for bad, worse in itertools.product(range(pooled[1] + 1), range(pooled[2] + 1)):
        good = size - bad - worse
        if 0 <= good <= pooled[0]:
            mine = good, bad, worse
            others = pooled[0] - good, pooled[1] - bad, pooled[2] - worse
            yield graded(mine, others), math.prod(map(math.comb, pooled, mine))


@st.composite
def designs(draw: st.DrawFn) -> tuple[int, Cells]:
    """The candidate's size and the pooled cells, of which one is worse at least."""
    pooled = draw(st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(1, 5)).filter(lambda one: sum(one) > 1))
    return draw(st.integers(1, sum(pooled) - 1)), pooled


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    logs = draw(st.lists(st.floats(-4, 4), min_size=len(HARM.grid), max_size=len(HARM.grid)))
    return Evidence(draw(st.floats(0.01, 19.0)), tuple(logs))


def points(look: Graded) -> int:
    return look.candidate_bad + 2 * look.candidate_worse


@given(designs(), st.sampled_from([0.5, 1.0, 1.25]))
def test_the_law_is_that_of_drawing_without_replacement_weighed_by_the_odds_of_each_point(
    design: tuple[int, Cells], null: float
) -> None:
    rule = proportion.harm(0.05, null)
    ways: dict[int, int] = defaultdict(int)
    for look, number in splits(*design):
        ways[points(look)] += number

    law = severity.law(rule, next(splits(*design))[0])

    weights = {one: number * null**one for one, number in ways.items()}
    assert law.counts.tolist() == sorted(weights)
    assert np.exp(law.log_probabilities) == pytest.approx(
        [weights[one] / sum(weights.values()) for one in sorted(weights)], rel=1e-9
    )
    for at, odds in enumerate(rule.grid):
        tilted = {one: number * odds**one for one, number in ways.items()}
        found = np.exp(law.log_probabilities + law.log_ratios(law.counts)[at])
        assert found == pytest.approx([tilted[one] / sum(tilted.values()) for one in sorted(tilted)], rel=1e-9)


@given(designs(), evidences())
def test_while_both_sides_are_alike_no_evidence_is_expected(design: tuple[int, Cells], before: Evidence) -> None:
    found = list(splits(*design))
    every = sum(number for _, number in found)

    expected = sum(number / every * severity.update(HARM, before, look).score for look, number in found)

    assert expected <= before.score * (1 + 1e-9) + proportion.FLOOR  # as of every proportion: see `proportion.update`
    assert expected >= before.score * 0.2, "and what a look could say is not thrown away"


def chances(size: int, shares: tuple[float, float, float]) -> dict[Cells, float]:
    """The multinomial law of one side's cells."""
    found = {}
    for bad, worse in itertools.product(range(size + 1), repeat=2):
        if bad + worse <= size:
            cells = size - bad - worse, bad, worse
            ways = math.factorial(size) / math.prod(map(math.factorial, cells))
            found[cells] = ways * math.prod(share**count for share, count in zip(shares, cells, strict=True))
    return found


@st.composite
def shares(draw: st.DrawFn) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Those of a candidate and of stable, the candidate's requests being good, or at most bad, as often at least."""
    low, high = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
    better = low + (1 - low) * draw(st.sampled_from([0, 0.1, 0.9]))
    best = max(better, high + (1 - high) * draw(st.sampled_from([0, 0.1, 0.9])))
    return (better, best - better, 1 - best), (low, high - low, 1 - high)


@given(st.integers(1, 4), st.integers(1, 4), shares(), evidences())
def test_neither_is_it_where_the_candidate_is_better_in_whatever_way(
    size: int, others: int, law: tuple[tuple[float, float, float], tuple[float, float, float]], before: Evidence
) -> None:
    """Fewer bad ones but more of them worse, all bad ones turned good, ...: better is what is at least as often at most as bad."""
    candidate, stable = law
    expected = sum(
        mine * theirs * severity.update(HARM, before, graded(cells, other)).score
        for cells, mine in chances(size, candidate).items()
        for other, theirs in chances(others, stable).items()
    )

    assert expected <= before.score * (1 + 1e-9) + proportion.FLOOR  # as of every proportion: see `proportion.update`


def plain(look: Graded) -> Look:
    return Look(look.candidate_total, look.candidate_bad, look.stable_total, look.stable_bad)


@pytest.mark.parametrize(
    "look",
    [
        graded((290, 10, 0), (2650, 50, 0)),
        graded((0, 0, 0), (2650, 40, 10)),
        graded((290, 5, 5), (0, 0, 0)),
        graded((3000, 90, 10), (3000, 301, 0)),
        graded((3000, 10, 10), (3000, 10, 91)),
    ],
    ids=["nothing worse", "no candidate", "no stable", "many bad", "many worse"],
)
def test_where_nothing_or_very_much_is_worse_it_is_a_proportion(look: Graded) -> None:
    before = proportion.start(HARM)

    assert severity.update(HARM, before, look) == proportion.update(HARM, before, plain(look))


@pytest.mark.parametrize(
    "look",
    [
        graded((3000, 90, 10), (3000, 300, 0)),
        graded((3000, 10, 10), (3000, 10, 90)),
        graded((290, 9, 1), (2650, 50, 0)),
    ],
    ids=["400 bad", "100 worse", "one worse"],
)
def test_up_to_the_most_that_is_weighed_severity_counts(look: Graded) -> None:
    before = proportion.start(HARM)

    assert severity.update(HARM, before, look) != proportion.update(HARM, before, plain(look))


def test_of_two_candidates_with_as_many_bad_requests_the_one_whose_are_worse_is_the_more_suspect() -> None:
    before = proportion.start(HARM)
    mild, severe = (severity.update(HARM, before, graded(one, (2670, 25, 5))) for one in ((294, 6, 0), (294, 2, 4)))

    assert severe.score > 4 * mild.score


def test_what_was_refuted_stays_so() -> None:
    refuted = Evidence(20.0, (9.0,) * len(HARM.grid))

    assert severity.update(HARM, refuted, graded((300, 0, 0), (2600, 50, 50))) == refuted


@pytest.mark.parametrize(
    ("rule", "logs", "told"),
    [(proportion.above(0.05, 0.01), 4, "about a fixed rate"), (HARM, 3, "has 3 logs, but the rule has 4 alternatives")],
)
def test_evidence_of_another_kind_is_refused(rule: Rule, logs: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        severity.update(rule, Evidence(1.0, (0.0,) * logs), graded((9, 1, 1), (9, 1, 1)))


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ((10, 2, 10, 2, 3, 0), "candidate_worse is 3: must lie between 0 and candidate_bad, which is 2"),
        ((10, 2, 10, 2, 0, -1), "stable_worse is -1: must lie between 0 and stable_bad, which is 2"),
        ((10, 11, 10, 2, 0, 0), "candidate_bad is 11"),
    ],
)
def test_a_part_is_no_more_than_its_whole(numbers: tuple[int, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Graded(*numbers)
