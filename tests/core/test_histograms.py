"""What does one look at a histogram add: which bound is fixed, what lies beyond it, and how far are the ranks?"""

import math
from dataclasses import astuple, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from assay.api.base import Verdict
from assay.api.checks import Check
from assay.api.modeldeployment import CheckStatus, QuantileState, RanksState
from assay.core import dispersion, quantiles
from assay.core.kinds import histogram_of
from assay.core.scrapes import Reading, Readings
from assay.stats.buckets import Histogram
from assay.stats.proportion import Look
from assay.stats.severity import Graded
from assay.stats.wilcoxon import moments
from core.test_checks import a_trial

BOUNDS = (0.1, 0.2, 0.4)


def a_check(quantile: str = "0.5", tolerance: str = "0") -> Check:
    limits = {"tolerance": {"relative": tolerance}, "margin": {"relative": "3"}}
    return Check.model_validate({"name": "latency", "preset": "latency", "quantile": quantile, **limits})


def a_status(**known: Any) -> CheckStatus:
    state = QuantileState(bounds=list(BOUNDS), bound=0.2, **known) if known else None
    return CheckStatus(name="latency", verdict=Verdict.UNDECIDED, quantile=state)


def readings(*pods: list[tuple[int, ...]]) -> Readings:
    """Of each pod the stable revision's events up to each bound, one scrape after the other; of the candidate none."""
    kinds = histogram_of(BOUNDS)
    return {
        (f"r{pod}", ""): tuple(
            Reading(10.0 * at, np.array([*stable, 0, 0, 0, 0]), kinds=kinds, bounds=BOUNDS)
            for at, stable in enumerate(scrapes)
        )
        for pod, scrapes in enumerate(pods)
    }


def fixed(found: Readings, quantile: str = "0.5") -> float | None:
    state = quantiles.begin(a_check(quantile), a_status(), found).quantile
    return None if state is None else state.bound


def test_the_bound_is_fixed_once_stable_has_had_twenty_events_beyond_its_quantile() -> None:
    assert fixed(readings([(3, 20, 30, 40)])) == 0.2
    assert fixed(readings([(3, 20, 30, 39)])) is None
    assert fixed(readings([(3, 10, 15, 20)], [(0, 10, 15, 20)])) == 0.2


def test_what_was_counted_after_the_looks_began_does_not_move_the_bound() -> None:
    assert fixed(readings([(3, 20, 30, 40), (900, 920, 930, 940)])) == 0.2
    assert fixed(readings([(3, 10, 15, 20), (900, 920, 930, 940)])) is None


@pytest.mark.parametrize(("quantile", "bound"), [("0.3", 0.1), ("0.38", 0.2), ("0.69", 0.2), ("0.71", 0.4)])
def test_the_bound_up_to_which_nearest_to_the_quantile_has_come_is_taken(quantile: str, bound: float) -> None:
    """Of stable's events 20, 50 and 90 percent were as quick as the three bounds."""
    assert fixed(readings([(2000, 5000, 9000, 10_000)]), quantile) == bound


def beyond(found: Readings, status: CheckStatus, quantile: str = "0.5") -> list[tuple[int, int]]:
    """(slow, all) of stable by the scrapes of the first pod."""
    told = quantiles.at_bound(a_check(quantile), status, found)
    assert not any(without for pod in told.values() for one in pod for without in (one.stable[2], one.candidate[2]))
    return [(int(one.stable[0]), int(one.stable[1])) for one in told.get(("r0", ""), ())]


def test_before_the_bound_is_fixed_what_is_beyond_stable_s_quantile_by_the_newest_scrapes_is_slow() -> None:
    assert beyond(readings([(90, 95, 98, 100), (110, 190, 198, 200), (10, 150, 298, 300)]), a_status()) == [
        (5, 100),
        (10, 200),
        (150, 300),
    ]


def test_with_a_bound_what_is_beyond_it_is_slow_whatever_has_become_of_the_quantile() -> None:
    late = readings([(0, 2, 90, 100)])
    state = QuantileState(bounds=[0.1, 0.3, 0.4], bound=0.3)
    other = CheckStatus(name="latency", verdict=Verdict.UNDECIDED, quantile=state)

    assert beyond(late, a_status(step=0)) == [(98, 100)]
    assert beyond(late, a_status()) == [(10, 100)]
    assert beyond(late, other) == [(10, 100)], "a bound of other buckets says nothing of these"


def test_an_hour_in_which_stable_had_no_events_tells_nothing_and_one_in_which_all_were_slow_does() -> None:
    assert quantiles.at_bound(a_check(), a_status(), {}) == {}
    assert quantiles.at_bound(a_check(), a_status(), readings([])) == {}
    assert quantiles.at_bound(a_check(), a_status(), readings([(0, 0, 0, 0)])) == {}
    assert beyond(readings([(0, 0, 0, 7)]), a_status()) == [(7, 7)]


LOOK = Histogram((*BOUNDS, math.inf), (20, 10, 40, 30), (200, 300, 400, 100))


def added(
    look: Histogram = LOOK, status: CheckStatus | None = None, quantile: str = "0.5", tolerance: str = "0"
) -> tuple[QuantileState, quantiles.Seen]:
    check = a_check(quantile, tolerance)
    return quantiles.added(check, status or a_status(), look, a_trial(check))


def test_without_a_past_the_first_look_fixes_the_bound_by_both_revisions_together() -> None:
    """Of 1100 events 220, 530 and 970 were as quick as the three bounds."""
    assert [added(quantile=one)[0].bound for one in ("0.1", "0.5", "0.9")] == [0.1, 0.2, 0.4]
    assert added()[0].bounds == [0.1, 0.2, 0.4]


def test_a_look_counts_what_is_beyond_the_bound_once_as_it_is_and_once_with_stable_slowed_by_the_tolerance() -> None:
    """Twice as slow, stable's fastest bucket ends at the second bound and its second one at the third, twice the second."""
    _, seen = added(tolerance="1")

    assert seen == (Look(100, 70, 1000, 500), Look(100, 70, 1000, 500), Graded(100, 70, 1000, 800, 30, 500))


def test_a_second_look_counts_only_what_is_new() -> None:
    state, _ = added()
    _, seen = added(status=a_status().model_copy(update={"quantile": state}))

    assert seen.weighed == Look(100, 70, 1000, 500)


def test_requests_that_fail_together_say_so_much_less_to_the_share_and_to_the_ranks() -> None:
    excess, variance, third = moments(*LOOK.counts)
    alone, _ = added()
    state, seen = added(status=a_status().model_copy(update={"dispersion": 2.0}))

    assert (alone.ranks.excess, alone.ranks.information) == pytest.approx((excess, variance))
    assert (state.ranks.excess, state.ranks.information) == pytest.approx((excess / 2, variance / 2))
    assert state.ranks.third == pytest.approx(third / 2)
    assert (seen.counted, seen.weighed) == (Look(100, 70, 1000, 500), Look(50, 35, 500, 250))
    assert seen.tolerated == Graded(50, 35, 500, 250, 15, 50)


def test_what_rounding_leaves_over_comes_with_a_later_look_so_that_neither_good_nor_bad_nor_worse_ever_falls() -> None:
    sums = [
        Graded(0, 0, 0, 0, 0, 0),
        Graded(3, 2, 30, 20, 1, 10),
        Graded(6, 5, 31, 21, 1, 11),
        Graded(9, 6, 40, 22, 2, 12),
    ]

    looks = [dispersion.graded(old, new, 2.5) for old, new in pairwise(sums)]

    whole = dispersion.graded(sums[0], sums[-1], 2.5)
    assert tuple(map(sum, zip(*map(astuple, looks), strict=True))) == astuple(whole) == (4, 3, 16, 9, 1, 5)
    assert dispersion.graded(sums[1], sums[2], 0) == Graded(3, 3, 1, 1, 0, 1), (
        "a rollout that began without a dispersion"
    )


def test_the_ranks_share_their_half_of_the_level_with_every_step_that_begins_them_anew() -> None:
    trial = replace(a_trial(a_check(), falseRollback="0.06"), tests=3)

    assert quantiles.level(trial) == pytest.approx(0.01)


def share(state: QuantileState, tolerance: str = "0") -> float:
    check = a_check(tolerance=tolerance)
    return quantiles._share(check, state, a_trial(check))


def ranked(excess: float, *, refuted: bool = False, **known: Any) -> QuantileState:
    """The ranks after looks whose variances sum up to 4, of which a bound of 6, three standard errors, was set at the last."""
    ranks = RanksState(excess=excess, information=4, scale=20, tested=4, lowest=-12, highest=6, refuted=refuted)
    return QuantileState(bounds=list(BOUNDS), bound=0.2, ranks=ranks, **known)


def test_short_of_the_bound_the_evidence_is_how_much_less_likely_the_bound_is_than_what_was_seen() -> None:
    """By the normal density: exp(-9 / 2) over exp(-z^2 / 2)."""
    assert share(ranked(2.0)) == pytest.approx(math.exp(-4))
    assert share(ranked(4.0)) == pytest.approx(math.exp(-2.5))


def test_what_is_no_slower_is_no_evidence_of_harm_and_nor_is_anything_before_a_bound_was_set() -> None:
    assert share(ranked(0.0)) == share(ranked(-4.0)) == 0
    assert share(QuantileState(bounds=list(BOUNDS), bound=0.2, ranks=RanksState(excess=6, information=4))) == 0


def test_a_sum_that_passed_the_bound_in_looks_too_small_for_a_bound_of_their_own_is_nearly_harm() -> None:
    assert share(ranked(8.0)) == 0.99


def test_ranks_are_harm_from_where_the_quantiles_surely_differ_by_the_tolerance() -> None:
    """All the candidate's events ended beyond the second bound and all of stable's before the first: twice as slow, at least."""
    seen = {"candidate": [0, 0, 1000, 0], "stable": [1000, 0, 0, 0]}
    refuted = ranked(8.0, refuted=True, **seen)

    assert share(refuted, "1") == 1
    assert share(refuted, "1.01") == 0
    assert share(ranked(8.0, refuted=True), "0") == 1, "without a tolerance anything slower is harm"
    assert share(ranked(-4.0, harm=1), "1") == 1, "what was shown stays shown"
