"""A rule goes on from what status remembers, and tells how far it is."""

import pytest

from assay.api.modeldeployment import ProcessState
from assay.core.processes import NEARLY, Rule, averaged, averages, reached, stepped
from assay.stats import means, moments, proportion, severity, spending
from assay.stats.proportion import Look
from assay.stats.severity import Graded

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


def test_what_is_worse_than_bad_counts_where_a_look_tells_it() -> None:
    before, look = states(BOOSTED)[1], Graded(300, 5, 2700, 25, candidate_worse=2, stable_worse=3)

    after = stepped(BOOSTED, before, look)

    expected = severity.update(BOOSTED, proportion.Evidence(before.score, tuple(before.logs)), look)
    assert (after.score, tuple(after.logs)) == (expected.score, expected.logs)
    assert after.score > stepped(BOOSTED, before, LOOKS[1]).score


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


@pytest.mark.parametrize(("times", "refuted"), [(1.15, False), (3.0, True)])
def test_sums_of_values_go_on_from_status(times: float, refuted: bool) -> None:  # noqa: FBT001
    rule, state, evidence = means.harm(0.05, 0.1), ProcessState(), means.start()
    for look in range(12):
        candidate = moments.Arm(30, times * (1 + 0.02 * (look % 3)), 0.5)
        seen = moments.Look(candidate, moments.Arm(270, 1 + 0.01 * (look % 5), 0.5))
        state = ProcessState.model_validate(averaged(rule, state, seen).to_manifest())
        evidence = means.update(rule, evidence, seen)

        assert averages(rule, state) == evidence
        assert state.score == means.score(rule, evidence)
    assert reached(rule, state) is means.reached(evidence) is refuted


def test_of_values_that_one_side_lacks_nothing_is_remembered() -> None:
    nothing = moments.Look(moments.Arm(0, 0.0, 0.0), moments.Arm(9, 1.0, 1.0))

    assert averaged(means.harm(0.05, 0.1), ProcessState(), nothing) == ProcessState()
    assert averages(means.harm(0.05, 0.1), ProcessState()) == means.start()


def test_a_rule_about_means_is_not_stepped_by_events() -> None:
    with pytest.raises(TypeError, match="stepped by values"):
        stepped(means.harm(0.05, 0.1), ProcessState(), LOOKS[0])
