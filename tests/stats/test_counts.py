import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln

from assay.stats import counts
from assay.stats.counts import Family, Kind, Look, law
from strategies import looks

ODDS = np.array([0.2, 1.0, 1.7, 6.0])


def exact(family: Family, odds: float) -> dict[int, float]:
    possible = range(family.low, family.high + 1)
    weights = {x: math.comb(family.total, x) * odds**x for x in possible}
    if family.kind == "relative":
        weights = {x: weight * math.comb(family.other, family.bad - x) for x, weight in weights.items()}
    return {x: weight / math.fsum(weights.values()) for x, weight in weights.items()}


def test_the_noncentral_hypergeometric_law_has_its_published_value() -> None:
    found = law(Family("relative", 300, 2700, 33), 2.0, ODDS)
    assert np.exp(found.log_probabilities[found.counts == 7]) == pytest.approx(0.1518816, abs=5e-8)


@given(looks(), st.sampled_from(["relative", "absolute"]), st.sampled_from([0.3, 1.0, 2.5]), st.sampled_from([1, 1000]))
def test_probabilities_and_likelihood_ratios_are_those_of_exact_arithmetic(
    look: Look, kind: Kind, reference: float, small: int
) -> None:
    family = Family.of(kind, look)
    if family.low == family.high:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "SMALL", small)
        found = law(family, reference, ODDS)
    truth = exact(family, reference)
    assert np.exp(found.log_probabilities) == pytest.approx([truth[int(x)] for x in found.counts], rel=1e-10)
    for odds, row in zip(ODDS, found.log_ratios(found.counts), strict=True):
        other = exact(family, float(odds))
        ratios = [math.log(other[int(x)] / truth[int(x)]) for x in found.counts]
        assert row == pytest.approx(ratios, abs=1e-9)


@pytest.mark.parametrize(
    "family",
    [
        Family("relative", 2_000, 30_000, 9_000),
        Family("relative", 150_000, 150_000, 150_000),
        Family("relative", 1_500_000, 1_500_000, 2_999_000),
        Family("relative", 150_000, 150_000, 3_000),
        Family("absolute", 3_000_000, 0, 0),
        Family("relative", 3_000, 300_000, 1_500),  # most likely near the first count
        Family("relative", 300_000, 3_000, 1_500),  # and near the last
    ],
)
@pytest.mark.parametrize("log_odds", [-9.0, -6.0, -0.1, 0.0, 1.6, 6.0])
def test_what_lies_outside_a_window_weighs_nothing(family: Family, log_odds: float) -> None:
    """Also beside other odds, whose window is wide enough sooner."""
    (first, _), (last, _) = family.windows(np.array([log_odds, 0.0]))
    assert outside(family, log_odds, first, last) < -79


def outside(family: Family, log_odds: float, first: float, last: float) -> float:
    """Logarithm of what lies outside a window, of the most likely count's chance, which lies inside."""
    every = np.arange(family.low, family.high + 1, dtype=float)
    logs = every * log_odds - gammaln(every + 1) - gammaln(family.total - every + 1)
    if family.kind == "relative":
        logs -= gammaln(family.bad - every + 1) + gammaln(family.other - family.bad + every + 1)
    inside = (every >= first) & (every <= last)
    assert logs[inside].max() == logs.max()
    return float(np.logaddexp.reduce(logs[~inside]) - logs.max()) if not inside.all() else -math.inf


def test_windows_of_many_odds_at_once_are_those_of_each_alone_and_wide_enough_where_few_counts_are_likely() -> None:
    """From one expected count in ten looks to all but that: near the ends the law is far from a normal one."""
    family, log_odds = Family("absolute", 20_000, 0, 0), np.linspace(-12, 12, 121)
    firsts, lasts = family.windows(log_odds)
    for at, first, last in zip(log_odds, firsts, lasts, strict=True):
        assert family.windows(np.array([at])) == (first, last)
        assert outside(family, float(at), float(first), float(last)) < -79


@given(looks(), st.sampled_from(["relative", "absolute"]))
def test_the_most_likely_count_is_found_for_all_odds_at_once(look: Look, kind: Kind) -> None:
    family = Family.of(kind, look)
    if family.low == family.high:
        return
    odds = [0.01, 0.31, 1.07, 2.3, 97.0]
    chances = [exact(family, one) for one in odds]
    found = [chance[int(mode)] for chance, mode in zip(chances, family.modes(np.log(odds)), strict=True)]
    assert found == pytest.approx([max(chance.values()) for chance in chances], rel=1e-12)


@pytest.mark.parametrize("odds", [0.001, 0.01, 0.19, 0.5])
def test_the_most_likely_count_is_found_too_where_more_are_bad_than_stable_has_requests(odds: float) -> None:
    family = Family("relative", 100, 60, 120)
    chances = exact(family, odds)
    (mode,) = family.modes(np.log([odds]))
    assert chances[int(mode)] == pytest.approx(max(chances.values()), rel=1e-12)


def test_probabilities_at_millions_of_requests_sum_to_one_under_every_alternative() -> None:
    found = law(Family("relative", 1_500_000, 1_500_000, 60_000), 1.1, np.array([1.12, 1.3]))
    under_null = np.exp(found.log_probabilities)
    assert under_null.sum() == pytest.approx(1, abs=1e-12)
    # The first alternative is so near that the null's window holds its mass too: E[ratio] must be 1.
    assert under_null @ np.exp(found.log_ratios(found.counts)[0]) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("numbers", [(10, 11, 5, 0), (10, -1, 5, 0), (10, 1, 5, 6), (-1, -1, 5, 0)])
def test_a_look_with_more_bad_requests_than_requests_is_refused_by_name(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"^(candidate|stable)_bad is -?\d+: must lie between 0 and"):
        Look(*numbers)
