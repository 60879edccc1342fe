"""What a reason foretells comes about when it said, if the rates stay as they are."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from statistics import median

import pytest

from assay.api.base import Verdict
from assay.api.checks import Check
from assay.api.modeldeployment import CheckStatus
from assay.core import checks
from assay.core.hypotheses import Rules, rules_of_values
from assay.core.outlook import of_values, outlook
from assay.core.replay import Judged
from assay.stats.proportion import harm, safety
from core.test_replay import judge, recorded
from core.test_values import RATIO, Numbers, a_check, a_trial, answers, begun, gauges, grown, looked

Pair = tuple[Numbers, Numbers]


def foretold(look: Judged) -> tuple[int, str] | None:
    return said(look.checks[0].reason)


def said(reason: str) -> tuple[int, str] | None:
    found = re.search(r"about (\d+) more looks until (harm|safety) is shown, if", reason)
    return (int(found[1]), found[2]) if found else None


@pytest.mark.parametrize(
    ("candidate", "kind"),
    [(lambda k: 4.0 + k % 2, "harm"), (lambda _: 3.0, "safety"), (lambda _: 2.0, "safety")],
    ids=["half as bad again", "equal", "better"],
)
def test_the_number_of_looks_is_right_to_a_half(candidate: object, kind: str) -> None:
    looks = judge(recorded(candidate, lambda _: 27.0))  # type: ignore[arg-type]

    told = {number: foretold(look) for number, look in enumerate(looks)}

    assert told[1] is None
    for number in range(4, len(looks) - 3):
        about = told[number]
        assert about is not None
        assert about[1] == kind
        left = len(looks) - 1 - number
        assert left / 1.6 - 2 <= about[0] <= left * 1.6 + 2, (number, about, left)
    assert told[len(looks) - 1] is None, "what is decided is not foretold"


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


def alike(
    times: float, looks: int = 60, counts: tuple[int, int] = (40, 200), after: Pair = ((0.0,) * 3, (0.0,) * 3)
) -> list[Pair]:
    """Counters of values that differ as exponential ones do, of which every look tells the same."""
    grown = [(count, count * scale, 2 * count * scale**2) for count, scale in zip(counts, (times, 1.0), strict=True)]
    return [
        (plus(after[0], grown[0], number), plus(after[1], grown[1], number)) for number in range(looks + 1)
    ]  # fmt: skip


def plus(start: Numbers, grown: Numbers, times: int) -> Numbers:
    return tuple(a + times * b for a, b in zip(start, grown, strict=True))


def statuses(check: Check, looks: Sequence[Pair], *, anew: int = 0) -> Iterator[CheckStatus]:
    """The state after every look, of which the first is the baseline; with look `anew` a weight step begins."""
    status = begun(check)
    for number, pair in enumerate(looks):
        at = 10.0 * (number + 1)
        if anew and number == anew:
            status = checks.begin_step(status, 1)
        status = checks.look(check, status, answers(check, at, *pair), a_trial(check, at))
        yield status


NARROW = {"tolerance": {"relative": "0.05"}, "margin": {"relative": "0.1"}}


@pytest.mark.parametrize(("times", "kind"), [(0.83, "harm"), (1.0, "safety"), (1.01, "safety")])
def test_of_values_the_number_of_looks_is_right_where_every_look_is_alike(times: float, kind: str) -> None:
    told = [said(one.reason) for one in statuses(a_check(**NARROW), alike(times, 40))][1:]

    assert told[:2] == [None, None]
    decided = told.index(None, 2)
    assert decided > 6
    for number, about in enumerate(told[2:decided], 2):
        assert about is not None
        assert about[1] == kind
        left = decided - number
        assert left - 1 <= about[0] <= left or about[0] == 1, (number, about, left)


@pytest.mark.parametrize(("times", "verdict", "kind"), [(0.82, Verdict.FAIL, "harm"), (1.0, Verdict.PASS, "safety")])
def test_of_values_what_is_foretold_after_six_looks_is_half_as_long_again_as_it_takes_at_most(
    times: float, verdict: Verdict, kind: str
) -> None:
    told, came = [], []
    for seed in range(60):
        seen = statuses(a_check(**NARROW), grown(seed, times, 200, (40, 360)))
        about = said(next(islice(seen, 6, None)).reason)
        if about is not None and about[1] == kind:
            told.append(about[0])
            came.append(next(number for number, one in enumerate(seen, 1) if one.verdict is verdict))

    assert len(told) > 50, "few are decided by then, or look as if it would go the other way"
    assert 0.67 < median(told) / median(came) < 1.5


def test_of_a_ratio_it_is_foretold_as_of_a_mean_and_of_a_gauge_nothing() -> None:
    ratio = a_check(mean=None, ratio=RATIO, margin={"relative": "0.15"})
    each = [(users, users, users, 2 * users, users, users) for users in (10.0, 50.0)]
    looks = [tuple(tuple(number * one for one in side) for side in each) for number in range(5)]
    gauge = a_check(mean=None, gauge={"metric": "drift"})

    assert said(looked(ratio, looks).reason) is not None  # type: ignore[arg-type]
    assert {said(one.reason) for one in statuses(gauge, gauges(0.9, 0.9, 20))} == {None}  # type: ignore[arg-type]


def test_more_traffic_of_late_brings_the_verdict_sooner() -> None:
    check = a_check(margin={"relative": "0.12"})
    slow = alike(1.0, 20, (10, 50))
    quick = alike(1.0, 10, (20, 100), slow[-1])

    *_, before = statuses(check, slow)
    *_, after = statuses(check, slow + quick[1:])
    told, later = said(before.reason), said(after.reason)

    assert told is not None
    assert later is not None
    assert later[0] == pytest.approx((told[0] - 20) / 2, abs=2), "twice as many values, and 20 looks' worth are in"


def test_safety_that_began_anew_is_foretold_from_what_the_whole_rollout_told() -> None:
    check, looks = a_check(**NARROW), alike(1.0, 11)

    straight, anew = (said(list(statuses(check, looks, anew=place))[-1].reason) for place in (0, 9))

    assert straight is not None
    assert anew is not None
    assert anew[0] == pytest.approx(straight[0] + 9, abs=1), (
        "eight looks are lost, and the ninth is the step's baseline"
    )


def test_looks_whose_sums_hands_have_taken_away_foretell_nothing() -> None:
    status = looked(a_check(**NARROW), alike(1.0, 5))
    spoilt = status.model_copy(update={"harm": status.harm.model_copy(update={"sums": [], "score": 1.0})})
    of_harm, of_safety = rules_of_values(a_check(**NARROW), status.odds, a_trial(a_check(**NARROW)).analysis)

    assert "more looks" in of_values(status, of_harm, of_safety)
    assert of_values(spoilt, of_harm, of_safety) == ""
