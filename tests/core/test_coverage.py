"""Which predictions are counted for the share that had a label, and from which share on is it enough?"""

from typing import Any

import pytest

from assay.api.base import Verdict
from assay.api.checks import Check
from assay.api.modeldeployment import CheckStatus
from assay.core import coverage
from assay.core.evidence import Counted
from assay.core.kinds import PROPORTION
from assay.core.scrapes import Arms
from assay.stats.proportion import Look

ARMS = Arms("aaaaaaaa", "bbbbbbbb")


def a_check(**changes: Any) -> Check:
    return Check.model_validate({"name": "accuracy", "preset": "accuracy", "labelDelaySeconds": 60, **changes})


def a_status(*labels: int) -> CheckStatus:
    return CheckStatus(name="accuracy", verdict=Verdict.UNDECIDED, reason="So far.", labels=list(labels))


def seen(look: Look, *unlabelled: int) -> Counted:
    candidate, stable = unlabelled
    sides = (look.stable_bad, look.stable_total, stable), (look.candidate_bad, look.candidate_total, candidate)
    return Counted(*sides, PROPORTION, (), (), fresh=True, stable_seen=True, candidate_seen=True)


def test_predictions_with_and_without_a_label_are_added_up_for_either_revision() -> None:
    once = coverage.added(a_check(), a_status(), seen(Look(10, 1, 20, 2), 3, 4))
    twice = coverage.added(a_check(), once, seen(Look(5, 5, 0, 0), 0, 1))

    assert once.labels == [10, 3, 20, 4]
    assert twice.labels == [15, 3, 20, 5]


def test_a_check_without_labels_counts_none() -> None:
    status = a_status()
    errors = Check.model_validate({"name": "errors", "preset": "error-ratio"})

    assert coverage.added(errors, status, seen(Look(10, 1, 20, 2), 0, 0)) is status


@pytest.mark.parametrize(
    ("labels", "shares"),
    [
        ((), (1.0, 1.0)),
        ((0, 0, 0, 0), (1.0, 1.0)),
        ((5, 5, 1, 3), (0.5, 0.25)),
        ((0, 2, 9, 0), (0.0, 1.0)),
        ((1, 0, 0, 1), (1.0, 0.0)),
    ],
)
def test_a_share_is_of_all_predictions_of_a_revision_and_one_where_there_were_none(
    labels: tuple[int, ...], shares: tuple[float, float]
) -> None:
    assert coverage.shares(a_status(*labels)) == shares


def test_exactly_the_least_share_is_enough_and_less_is_not() -> None:
    enough, less = a_status(80, 20, 160, 40), a_status(79, 21, 160, 40)

    assert coverage.lacking(a_check(), enough, ARMS) == ("", False)
    assert coverage.lacking(a_check(), a_status(), ARMS) == ("", False)
    why, beyond_chance = coverage.lacking(a_check(), less, ARMS)
    assert why == "0.79 of 100 predictions of the candidate bbbbbbbb had a label after 60 s, and minCoverage is 0.8"
    assert beyond_chance


def test_stables_labels_matter_where_the_candidate_is_compared_with_it_and_not_beside_a_limit() -> None:
    stable, candidate = a_status(90, 10, 140, 60), a_status(70, 30, 200, 0)

    assert coverage.lacking(a_check(), stable, ARMS) == (
        "0.7 of 200 predictions of the stable revision aaaaaaaa had a label after 60 s, and minCoverage is 0.8",
        True,
    )
    assert coverage.lacking(a_check(limit="0.1"), stable, ARMS) == ("", False)
    assert coverage.lacking(a_check(limit="0.1"), candidate, ARMS)[0].startswith("0.7 of 100 predictions")


@pytest.mark.parametrize(("predictions", "beyond_chance"), [(49, False), (50, True)])
def test_the_share_of_fewer_than_fifty_predictions_is_chance(
    predictions: int,
    beyond_chance: bool,  # noqa: FBT001
) -> None:
    of_candidate = a_status(10, predictions - 10, 900, 0)
    of_stable = a_status(900, 0, 10, predictions - 10)

    assert coverage.lacking(a_check(), of_candidate, ARMS)[1] is beyond_chance
    assert coverage.lacking(a_check(), of_stable, ARMS)[1] is beyond_chance


def test_the_user_says_which_share_is_enough() -> None:
    assert coverage.lacking(a_check(minCoverage="0.6"), a_status(60, 40, 60, 40), ARMS) == ("", False)
    assert coverage.lacking(a_check(minCoverage="0.6"), a_status(59, 41, 60, 40), ARMS)[0].endswith(
        "minCoverage is 0.6"
    )


def test_of_classes_whose_labels_are_thinned_the_share_of_the_one_with_the_fewest_is_enough() -> None:
    thinned = a_check(classCoverage={"fraud": "0.3", "fine": "0.9"})

    assert coverage.lacking(thinned, a_status(30, 70, 50, 50), ARMS) == ("", False)
    assert coverage.lacking(thinned, a_status(29, 71, 50, 50), ARMS) == (
        "0.29 of 100 predictions of the candidate bbbbbbbb had a label after 60 s, and the least of classCoverage is 0.3",
        True,
    )
