"""A rule goes on from what status remembers, and tells how far it is."""

import pytest

from assay.api.modeldeployment import ProcessState
from assay.core.processes import NEARLY, Rule, reached, stepped
from assay.stats import proportion, spending
from assay.stats.proportion import Look

BOOSTED, BOUNDS = proportion.harm(0.05, 1.0), spending.harm(0.05, 1.0)
LOOKS = [Look(300, 6, 2700, 27), Look(300, 5, 2700, 25), Look(300, 8, 2700, 29)]


def states(rule: Rule) -> list[ProcessState]:
    found = [ProcessState()]
    for look in LOOKS:
        state = stepped(rule, found[-1], look)
        found.append(ProcessState.model_validate(state.to_manifest()))
    return found


def test_a_betting_score_goes_on_from_status() -> None:
    found = states(BOOSTED)

    assert [one.score for one in found] == pytest.approx([1, 2.614441, 5.066189, 20], abs=5e-7)
    assert [len(one.logs) for one in found] == [0, 4, 4, 4]
    assert [reached(BOOSTED, one) for one in found] == [False, False, False, True]


def test_an_error_spending_test_goes_on_from_status() -> None:
    found = states(BOUNDS)

    assert [one.walk.count for one in found if one.walk] == [6, 11, 19]
    assert [one.walk.bound for one in found if one.walk] == [8, 13, 18]
    assert [reached(BOUNDS, one) for one in found] == [False, False, False, True]
    assert all(one.logs == [] for one in found)


def test_its_score_is_one_over_the_chance_of_as_many_and_the_threshold_only_where_that_is_reached() -> None:
    rule, walk = BOUNDS, spending.start()
    for look, state in zip(LOOKS, states(rule)[1:], strict=True):
        walk = spending.update(rule, walk, look)
        told = 20.0 if spending.reached(walk) else min(1 / max(spending.tail(walk), 0.05), 19.8)
        assert state.score == pytest.approx(told, rel=1e-9)


def test_what_is_rarer_than_the_level_but_reaches_no_bound_is_told_as_not_reached() -> None:
    state = stepped(BOUNDS, ProcessState(), Look(300, 7, 2700, 23))

    often = stepped(BOUNDS, ProcessState(), Look(300, 4, 2700, 26))

    assert not reached(BOUNDS, state)
    assert state.score == NEARLY * 20 == pytest.approx(19.8)
    assert 1 < often.score < 4
