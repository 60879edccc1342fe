"""What does one look at values add to a check, to the number?"""

import pytest

from assay.api.checks import Check
from assay.api.modeldeployment import CheckStatus
from assay.core import values
from assay.core.evidence import Counted
from assay.core.kinds import MEAN, RATIO, Kinds, Numbers
from core.test_values import RATIO as OF_USERS
from core.test_values import a_check, a_trial, begun

CANDIDATE, STABLE = (4, 40.0, 410.0), (6, 66.0, 740.0)
USERS, OTHERS = (4, 40.0, 8.0, 410.0, 18.0, 83.0), (6, 66.0, 12.0, 740.0, 26.0, 134.0)


def added(check: Check, candidate: Numbers, stable: Numbers, kinds: Kinds, looks: int = 1) -> CheckStatus:
    status = begun(check).model_copy(update={"odds": [1.0, 1.5]})
    for _ in range(looks):
        counted = Counted(stable, candidate, kinds, (), (), fresh=True, stable_seen=True, candidate_seen=True)
        status = values.added(check, status, counted, a_trial(check))
    return status


def test_each_look_is_counted_once_and_kept() -> None:
    status = added(a_check(), CANDIDATE, STABLE, MEAN, looks=3)

    assert (status.measured_looks, status.requests, status.step_requests) == (3, 12, 12)
    assert [look[1:] for look in status.value_looks] == [[*CANDIDATE, *STABLE]] * 3


@pytest.mark.parametrize(("candidate", "stable"), [((0, 0.0, 0.0), STABLE), (CANDIDATE, (0, 0.0, 0.0))])
def test_a_look_in_which_only_one_revision_had_values_is_not_kept(candidate: Numbers, stable: Numbers) -> None:
    assert added(a_check(), candidate, stable, MEAN).value_looks == []


def test_a_ratio_is_one_of_units_and_its_estimates_are_of_all_that_was_counted() -> None:
    check = a_check(mean=None, ratio=OF_USERS)

    status = added(check, USERS, OTHERS, RATIO, looks=2)

    assert status.requests == 8
    assert status.pooled == [80.0, 16.0, 132.0, 24.0]
    worded = values.worded(check, status, a_trial(check))
    assert (worded.estimate_candidate, worded.estimate_stable) == ("5", "5.5")


def test_before_the_first_look_no_ratio_is_told() -> None:
    check = a_check(mean=None, ratio=OF_USERS)
    worded = values.worded(check, begun(check).model_copy(update={"odds": [1.0, 1.5]}), a_trial(check))

    assert (worded.estimate_candidate, worded.estimate_stable) == ("", "")


def test_values_with_which_nobody_can_calculate_add_no_evidence() -> None:
    """Squares that are far too large for a variance that numbers hold."""
    wild = (4, 40.0, 1e300)

    status = added(a_check(), wild, STABLE, MEAN)

    assert (status.measured_looks, status.requests, status.value_looks) == (1, 0, [])
    assert not any(status.harm.sums)
