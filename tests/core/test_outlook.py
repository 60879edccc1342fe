"""What a reason foretells comes about when it said, if the rates stay as they are."""

import re

import pytest

from assay.api.base import Verdict
from assay.api.modeldeployment import CheckStatus
from assay.core.hypotheses import Rules
from assay.core.outlook import outlook
from assay.core.replay import Judged
from assay.stats.proportion import harm, safety
from core.test_replay import judge, recorded


def foretold(look: Judged) -> tuple[int, str] | None:
    found = re.search(r"about (\d+) more looks until (harm|safety) is shown, if", look.checks[0].reason)
    return (int(found[1]), found[2]) if found else None


@pytest.mark.parametrize(
    ("candidate", "kind"),
    [(lambda k: 4.0 + k % 2, "harm"), (lambda _: 3.0, "safety"), (lambda _: 2.0, "safety")],
    ids=["half as bad again", "equal", "better"],
)
def test_the_number_of_looks_is_right_to_a_half(candidate: object, kind: str) -> None:
    looks = judge(recorded(candidate, lambda _: 27.0))  # type: ignore[arg-type]

    said = {number: foretold(look) for number, look in enumerate(looks)}

    assert said[1] is None
    for number in range(4, len(looks) - 3):
        about = said[number]
        assert about is not None
        assert about[1] == kind
        left = len(looks) - 1 - number
        assert left / 1.6 - 2 <= about[0] <= left * 1.6 + 2, (number, about, left)
    assert said[len(looks) - 1] is None, "what is decided is not foretold"


def test_counts_that_are_divided_take_as_many_more_looks() -> None:
    looks = judge(recorded(lambda _: 3.0, lambda _: 27.0), analysis__dispersion="2")

    about, left = foretold(looks[10]), len(looks) - 11
    assert about is not None
    assert left / 1.6 <= about[0] <= left * 1.6


def test_where_nothing_fails_nothing_is_foretold() -> None:
    looks = judge(recorded(lambda _: 0.0, lambda _: 0.0, looks=10))

    assert {foretold(one) for one in looks} == {None}


def test_looks_without_totals_foretell_nothing() -> None:
    status = CheckStatus(name="errors", verdict=Verdict.UNDECIDED, odds=[1.1, 1.5], looks=[[1, 2, 0, 2, 0]] * 4)

    assert outlook(status, Rules(harm(0.01, 1.1), None, safety(0.05, 1.5), None)) == ""
