"""Published numbers that our own kernels and the peers must reproduce, to the last digit that was printed.

Where each of the 26 known answers that were collected for this kind of statistics is held, or why it is not:

 1  sample ratio mismatch by chi-squared: not built, ours is the sequential one (21)
 2  two proportions, z pooled and unpooled: peers/test_repeated; Fisher's tail: here
 3  two more pooled z: peers/test_repeated
 4  Welch's t: not built, what is judged are counts, not means of users
 5  GrowthBook's sequence of means: peers/test_repeated
 6  GrowthBook's sequence of proportions: peers/test_repeated; its fixed interval is a t of one look: not built
 7  Pocock's constants: peers/test_groupsequential
 8  bounds of O'Brien & Fleming: peers/test_groupsequential
 9  bounds of Lan & DeMets: test_boundary, peers/test_groupsequential
10  what peeking does: test_boundary, peers/test_groupsequential
11  Spotify's spending of time squared: here
12  confseq's two-sided normal mixture: here, as the same sequence as GrowthBook's. One-sided mixture, band of the iterated
    logarithm, its Bernoulli and quantile sequences: not built, ours for quantiles bets otherwise (test_latency)
13  Wald's lines: peers/test_oracle
14  ln 20 over information: peers/test_oracle; of our own planning: here
15  MaxSPRT for Poisson counts: not built, ours are conditional on the totals
16  Fisher's two tables: here
17  Mann-Whitney: U in peers/test_kayenta; its chances by our rank test: here
18  Benjamini & Hochberg: not built, nothing is discovered here; Bonferroni, by which alpha is split: here
19  sizes of samples of one fixed look: not built, ours is the mean of a sequential test (test_power)
20  safe test of Turner, Ly & Grünwald: not built, nothing takes the overshoot out of it
21  marginals of the sequential sample ratio test: test_ratio
22  intervals of Wilson and of Clopper & Pearson: not built, ours hold at all looks (test_effect, test_latency)
23  noncentral hypergeometric probability: test_counts
24  golden trace: test_proportion, test_spending, core/test_spending
25  bounds with 30 errors a look, promotion after 13: test_proportion, test_spending
26  all outcomes of small designs, mirrored sides and signs: test_guarantee, test_spending, test_proportion
"""

import itertools
import math

import numpy as np
import pytest

from assay.api.modeldeployment import Analysis
from assay.core.hypotheses import alpha_of
from assay.stats import boundary, dispersion, latency, power, proportion, ratio, spending, wilcoxon
from assay.stats.counts import Family, Floats, Look, law
from assay.stats.proportion import above, harm, odds_ratio, start_effect, update_effect
from assay.stats.wilcoxon import moments
from peers import groupsequential as gs
from peers import repeated


def table(look: Look) -> tuple[Floats, Floats]:
    """What the candidate's bad count may be, given all margins, and with which chances when the sides are equal."""
    found = law(Family.of("relative", look), 1.0, np.array([2.0]))
    return found.counts, np.exp(found.log_probabilities)


def test_fishers_two_sided_chance_is_scipys() -> None:
    look = Look(10, 8, 6, 1)
    counts, chances = table(look)
    as_rare = chances <= chances[counts == 8] * (1 + 1e-9)
    assert chances[as_rare].sum() == pytest.approx(0.0349650, abs=5e-8)
    assert odds_ratio(update_effect(start_effect(), look)) == pytest.approx(20)


def test_the_lady_who_tastes_tea_guesses_three_of_four_by_chance_in_a_quarter() -> None:
    counts, chances = table(Look(4, 3, 4, 1))
    assert chances[counts >= 3].sum() == pytest.approx(0.2428571, abs=5e-8)


def test_fishers_tail_beside_the_pooled_z_is_scipys() -> None:
    counts, chances = table(Look(1000, 220, 10000, 2000))
    assert chances[counts >= 220].sum() == pytest.approx(0.072983, abs=5e-7)


def test_ranks_of_two_small_samples_are_as_rare_as_mann_and_whitney_say() -> None:
    x, y = (19, 22, 16, 29, 24), (20, 11, 17, 12)
    both = sorted(x + y)

    def beyond(chosen: tuple[int, ...]) -> float:
        candidate = np.array([float(value in chosen) for value in both])
        return moments(candidate, 1 - candidate)[0]

    candidate = np.array([float(value in x) for value in both])
    excess, variance, _ = moments(candidate, 1 - candidate)
    pair = 1 / (len(both) + 1)  # scores are ranks over one more than the number of all
    assert excess / pair + len(x) * len(y) / 2 == pytest.approx(17)  # U
    assert math.erfc((excess - pair / 2) / math.sqrt(2 * variance)) == pytest.approx(0.1113469, abs=5e-8)
    as_rare = [abs(beyond(chosen)) > excess - 1e-9 for chosen in itertools.combinations(both, len(x))]
    assert np.mean(as_rare) == pytest.approx(0.1111111, abs=5e-8)


def test_spending_time_squared_leaves_the_alphas_that_spotify_publishes() -> None:
    times = [250 / 810, 450 / 810, 630 / 810, 1.0]
    found = gs.bounds(times, [0.01 * time**2 for time in times], two_sided=True)
    assert [math.erfc(z / math.sqrt(2)) for z in found] == pytest.approx([0.00095, 0.00241, 0.00410, 0.00636], abs=5e-6)


def test_spending_time_squared_over_five_looks_gives_the_bounds_of_spotify() -> None:
    """Its grid is coarse: exact quadrature of the second look gives 2.714112, as ours does, where it says 2.71408."""
    times = [0.2, 0.4, 0.6, 0.8, 1.0]
    found = gs.bounds(times, [0.05 * time**2 for time in times], two_sided=True)
    assert found == pytest.approx([3.09023, 2.71408, 2.47274, 2.27981, 2.11397], abs=6e-5)
    assert found[1] == pytest.approx(2.714111576, abs=1e-8)


def test_the_asymptotic_sequence_is_the_two_sided_normal_mixture_of_confseq() -> None:
    """Its rho is the inverse square of GrowthBook's; its bound is that of a sum, here of 100 values of variance 1."""
    assert repeated.rho(0.05, 100) ** -2 == pytest.approx(12.60056, abs=5e-6)
    assert 100 * float(repeated.half_width(1 / 100, 100, 0.05, 100)) == pytest.approx(30.35209, abs=5e-6)


@pytest.mark.parametrize(("rate", "requests"), [(0.015, 2736.768), (0.02, 765.463), (0.05, 72.552)])
def test_what_is_planned_with_is_the_information_per_request(rate: float, requests: float) -> None:
    limited, compared = above(0.05, 0.01), harm(0.05, 1.0)
    assert math.log(20) / power.drift(limited, rate, 0.3, 0.1) == pytest.approx(requests, abs=5e-4)
    beside_all = power.drift(compared, rate, 0.01, 1e-9)  # so much of stable that its rate is known
    assert math.log(20) / beside_all == pytest.approx(requests, abs=5e-4)
    assert power.requests(limited, rate, 0.3, 0.1) == pytest.approx(1.25 * requests, abs=7e-4)


def test_alpha_is_split_as_bonferroni_would_who_finds_three_of_fifteen() -> None:
    """The 15 chances of Benjamini & Hochberg (1995)."""
    found: tuple[float, ...] = (0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344)
    found += (0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0)
    written = [{"name": f"check-{number}", "preset": "error-ratio"} for number in range(len(found))]
    alpha = alpha_of(Analysis.model_validate({"checks": written, "falseRollback": "0.05"}))
    assert sum(p <= alpha for p in found) == 3


def test_what_was_measured_with_these_numbers_keeps_them() -> None:
    """Error rates and times in docs/explanation/decisions.md hold for them; who changes one measures again."""
    assert proportion.HARM_FACTORS == (1.5, 2.0, 3.0, 5.0)
    assert (proportion.SAFETY_ODDS, proportion.SAFETY_WEIGHTS) == ((0.6, 0.8, 1.0), (1.0, 1.0, 3.0, 1.0))
    assert proportion.BELOW_FACTORS == (0.0, 0.1, 0.3, 0.6)
    assert {*proportion.HARM_WEIGHTS, *proportion.BELOW_WEIGHTS} == {1.0}
    assert (proportion.FLOOR, spending.CLEAR, latency.STRENGTH) == (1e-6, 2.5, 50.0)
    assert (wilcoxon.FIVE, wilcoxon.SKEWNESS, boundary.MINIMUM) == (5.0, 0.1, 1 / 40)
    assert (ratio.CONCENTRATION, ratio.WARNING) == (10_000.0, 1000.0)
    assert (dispersion.ASSUMED, dispersion.HOPELESS, power.OVERHEAD) == (1.5, 20.0, 1.25)
