"""Published bounds, all outcomes of small designs, and what is lost by a memory that does not grow."""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from assay.stats import proportion, spending
from assay.stats.counts import Family, Floats, Look, law
from assay.stats.spending import CELLS, Rule, Walk, bound, harm, reached, safety, standing, start, update
from stats import reference
from stats.test_traps import (
    World,
    low_traffic,
    missing_scrapes,
    ramp_while_the_rate_falls,
    ramp_while_the_rate_rises,
    shared_bursts,
)
from strategies import looks

EVERY_RULE = [harm(0.2, 1.0), harm(0.3, 1.25), safety(0.2, 1.5), safety(0.3, 2.0)]
each_rule = pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: f"{rule.direction}-{rule.level}")

DESIGN = (Look(5, 3, 8, 3), Look(9, 2, 6, 3), Look(7, 4, 7, 2), Look(3, 3, 12, 2))  # totals of each look; bad to share


def after(rule: Rule, observed: Sequence[Look]) -> Walk:
    state = start()
    for look in observed:
        state = update(rule, state, look)
    return state


def outcomes(shape: Look, odds: float) -> list[tuple[float, Look]]:
    """Each way a look with these totals could have come out, and its probability."""
    rule = proportion.Rule("relative", odds, (9 * odds,), (1.0,), 0.5, "harm")
    return list(reference.outcomes(rule, shape, odds))


def least_alarming(rule: Rule, design: Sequence[Look]) -> list[Look]:
    """The same totals with as few bad requests on the watched side as can be: no bound is crossed."""
    ways = ([look for _, look in outcomes(shape, 1.0)] for shape in design)
    return [(min if rule.direction == "harm" else max)(each, key=lambda look: look.candidate_bad) for each in ways]


def chance(rule: Rule, odds: float, design: Sequence[Look] = DESIGN) -> float:
    """How often the null is refuted at these odds, counted over all outcomes of the design."""
    alive: dict[Walk, float] = {start(): 1.0}
    for shape in design:
        following: dict[Walk, float] = {}
        for (state, so_far), (probability, look) in itertools.product(alive.items(), outcomes(shape, odds)):
            then = update(rule, state, look)
            following[then] = following.get(then, 0.0) + so_far * probability
        alive = following
    assert math.fsum(alive.values()) == pytest.approx(1)
    return math.fsum(probability for state, probability in alive.items() if reached(state))


@pytest.mark.parametrize(
    ("alpha", "bounds"),
    [(0.05, [8, 12, 16, 20, 25, 29, 33, 37, 41, 45]), (0.01, [9, 14, 18, 23, 27, 32, 36, 40, 44, 48])],
)
def test_the_bounds_are_the_known_ones(alpha: float, bounds: list[int]) -> None:
    rule = harm(alpha, 1.0)
    states = itertools.accumulate([Look(300, 3, 2700, 27)] * 10, lambda s, k: update(rule, s, k), initial=start())
    assert [state.bound for state in states][1:] == bounds


def test_the_golden_trace_is_reproduced() -> None:
    rule, state, trace = harm(0.05, 1.0), start(), []
    for look in (Look(300, 6, 2700, 27), Look(300, 5, 2700, 25), Look(300, 8, 2700, 29)):
        assert not reached(state)
        state = update(rule, state, look)
        trace.append(standing(rule, state))
    assert trace == [(6, 8), (11, 13), (19, 18)]
    assert reached(state)


def test_the_chance_of_as_many_is_that_of_all_paths_that_have_crossed_no_bound() -> None:
    rule, state, alive = harm(0.05, 1.0), start(), np.array([1.0])
    for look in (Look(300, 6, 2700, 27), Look(300, 5, 2700, 25)):
        state = update(rule, state, look)
        alive = np.convolve(alive, hypergeom.pmf(np.arange(40), 3000, look.candidate_bad + look.stable_bad, 300))
        alive = alive[: state.bound]
        assert spending.tail(state) == pytest.approx(alive[state.count :].sum(), rel=1e-9)
        assert state.spent == pytest.approx(1 - alive.sum(), rel=1e-6)
    assert spending.tail(start()) == 1.0
    assert spending.tail(replace(state, place=state.lowest - 1)) == pytest.approx(alive.sum(), rel=1e-9)


def test_nothing_seen_is_told_as_nothing() -> None:
    assert (standing(harm(0.05, 1.0), start()), standing(safety(0.05, 1.5), start())) == ((0, 1), (0, -1))
    assert not reached(start())
    assert (start().information, start().spent, start().width, start().law) == (0.0, 0.0, 1, (1.0,))


def test_a_law_of_one_cell_stays_where_it_is() -> None:
    state = update(harm(0.05, 1.0), start(), Look(1, 0, 10_000, 1))
    assert (state.bound, state.lowest, state.place, state.width) == (1, 0, 0, 1)
    assert state.law == pytest.approx((10_000 / 10_001,))
    assert state.spent == pytest.approx(1 / 10_001)


def test_what_is_clear_is_so_many_standard_errors_away() -> None:
    assert harm(0.05, 1.1).pace == pytest.approx((2.5 / math.log(2)) ** 2)
    assert safety(0.05, 1.5).pace == pytest.approx((2.5 / math.log(1.5)) ** 2)
    state = update(harm(0.05, 1.0), start(), Look(300, 3, 2700, 27))
    assert state.information == pytest.approx(hypergeom.var(3000, 30, 300))
    assert (state.count, state.bad) == (3, 30)


@each_rule
def test_at_the_edge_of_the_null_false_alarms_are_as_frequent_as_was_spent_and_no_more(rule: Rule) -> None:
    refuted = chance(rule, rule.null)
    assert refuted == pytest.approx(after(rule, least_alarming(rule, DESIGN)).spent, abs=1e-10)
    assert 0.2 * rule.level < refuted <= rule.level


@each_rule
@pytest.mark.parametrize("factor", [0.95, 0.5])
def test_inside_the_null_false_alarms_are_rarer(rule: Rule, factor: float) -> None:
    inside = rule.null * factor if rule.direction == "harm" else rule.null / factor
    assert chance(rule, inside) < chance(rule, rule.null)


@each_rule
@pytest.mark.parametrize(("cells", "folded"), [(2, 1e-12), (4, 0.05), (3, 0.3)])
def test_however_little_is_remembered_the_promise_holds(
    rule: Rule, cells: int, folded: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spending, "CELLS", cells)
    monkeypatch.setattr(spending, "FOLDED", folded)
    spent = after(rule, least_alarming(rule, DESIGN)).spent
    assert 0 < chance(rule, rule.null) <= spent + 1e-12
    assert spent <= rule.level


@pytest.mark.parametrize("cells", [2, 3, 5])
def test_joining_cells_leaves_the_law_exact(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "CELLS", cells)
    monkeypatch.setattr(spending, "FOLDED", 0.0)
    rule = harm(0.2, 1.0)
    state = after(rule, least_alarming(rule, DESIGN))
    assert state.width in (2, 4, 8, 16)  # joined in pairs
    assert chance(rule, 1.0) == pytest.approx(state.spent, abs=1e-12)
    assert math.fsum(state.law) + state.spent == pytest.approx(1, abs=1e-12)


def worst_reaction(rule: Rule, *, anew: bool) -> float:
    """How often the null is refuted though true, if the second look is as large as leads most often to that.

    Args:
        rule: To refute.
        anew: The second look is judged by a test of its own.
    """

    def law_of(requests: int) -> tuple[Floats, Floats]:
        found = law(Family("relative", requests, requests, requests), rule.null, np.array([]))
        return found.counts, np.exp(found.log_probabilities)

    def alarm(state: Walk, requests: int) -> float:
        counts, chances = law_of(requests)
        totals = Look(requests, 0, requests, requests)
        return float(chances[state.count + counts >= bound(rule, state, totals)].sum())

    refuted = 0.0
    for count, probability in zip(*law_of(200), strict=True):
        state = update(rule, start(), Look(200, int(count), 200, 200 - int(count)))
        then = start() if anew else state
        refuted += probability * (1 if reached(state) else max(alarm(then, n) for n in (20, 200, 600, 2000, 50_000)))
    return refuted


def test_with_weights_that_react_to_the_answers_the_promise_is_broken() -> None:
    assert worst_reaction(harm(0.05, 1.0), anew=False) > 1.2 * 0.05


def test_with_a_test_for_each_weight_at_its_share_of_the_level_the_promise_holds_again() -> None:
    assert 0.8 * 0.05 < worst_reaction(harm(0.05 / 2, 1.0), anew=True) <= 0.05


@given(st.sampled_from(EVERY_RULE), st.lists(looks(40), min_size=1, max_size=5))
def test_the_state_is_reached_exactly_when_the_counts_told_cross_the_bound_told(
    rule: Rule, observed: list[Look]
) -> None:
    state = start()
    for look in observed:
        asked, before = bound(rule, state, look), state
        state = update(rule, state, look)
        if state is before:
            continue
        counted, edge = standing(rule, state)
        assert edge == asked
        assert reached(state) == (counted >= edge if rule.direction == "harm" else counted <= edge)


@given(st.lists(looks(40), min_size=1, max_size=5), st.sampled_from([1.25, 1.5, 2.0]))
def test_exchanging_the_sides_turns_safety_into_harm_at_the_inverse_odds_ratio(
    observed: list[Look], odds: float
) -> None:
    rule = safety(0.1, odds)
    mirror = Rule("harm", 1 / odds, rule.level, rule.pace)
    turned = [Look(k.stable_total, k.stable_bad, k.candidate_total, k.candidate_bad) for k in observed]
    assert after(rule, observed) == after(mirror, turned)


@given(st.sampled_from(EVERY_RULE), st.lists(looks(), max_size=4), st.integers(0, 50))
def test_a_look_that_says_nothing_changes_nothing(rule: Rule, past: list[Look], requests: int) -> None:
    state = after(rule, past)
    for look in (
        Look(0, 0, requests, requests // 2),
        Look(requests, requests // 2, 0, 0),
        Look(requests, 0, 70, 0),
        Look(requests, requests, 70, 70),
    ):
        assert update(rule, state, look) is state


def test_once_reached_nothing_changes_any_more() -> None:
    rule = harm(0.05, 1.0)
    state = after(rule, [Look(300, 30, 2700, 10)])
    assert reached(state)
    assert update(rule, state, Look(300, 0, 2700, 40)) is state


@given(st.sampled_from(EVERY_RULE), st.lists(looks(), min_size=2, max_size=5))
def test_a_state_that_is_stored_as_json_after_every_look_goes_on_the_same(rule: Rule, observed: list[Look]) -> None:
    stored = kept = start()
    for look in observed:
        values = json.loads(json.dumps(asdict(stored), allow_nan=False))
        stored = update(rule, Walk(**{**values, "law": tuple(values["law"])}), look)
        kept = update(rule, kept, look)
    assert stored == kept


@pytest.mark.parametrize("bad", [3, 300, 30_000, 149_999])
def test_the_state_does_not_grow_and_the_level_is_never_overspent(bad: int) -> None:
    rule, state = harm(0.01, 1.1), start()
    for _ in range(80):
        state = update(rule, state, Look(150_000, bad, 150_000, bad))
        assert len(state.law) <= CELLS
        assert math.fsum(state.law) + state.spent == pytest.approx(1, abs=1e-9)
        assert state.spent <= 0.01 * math.sqrt(state.information / (state.information + rule.pace))
    assert not reached(state)


@pytest.mark.parametrize("world", [shared_bursts, ramp_while_the_rate_rises, missing_scrapes, low_traffic])
def test_where_naive_tests_are_fooled_an_equal_candidate_is_rarely_rolled_back(world: World) -> None:
    dice, runs, wrong, rule = np.random.default_rng(20261121), 120, 0, harm(0.05, 1.0)
    for _ in range(runs):
        state = start()
        for look in world(dice, 1.0):
            state = update(rule, state, look)
        wrong += reached(state)
    assert wrong / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_a_candidate_worse_by_half_is_found_on_a_ramp_that_hides_it_from_pooled_counts() -> None:
    dice, rule = np.random.default_rng(1), harm(0.05, 1.0)
    assert all(reached(after(rule, list(ramp_while_the_rate_falls(dice, 1.6)))) for _ in range(40))


def looks_needed(rule: Rule, odds: float, *, requests: int, runs: int) -> float:
    """Mean number of looks until the null is refuted, 60 at most; one request in a hundred of the stable fails."""
    dice, needed = np.random.default_rng(5), 0
    rate = odds * 0.01 / (0.99 + odds * 0.01)
    for _ in range(runs):
        state = start()
        for _ in range(60):
            few, many = requests // 10, requests - requests // 10
            look = Look(few, int(dice.binomial(few, rate)), many, int(dice.binomial(many, 0.01)))
            state, needed = update(rule, state, look), needed + 1
            if reached(state):
                break
    return needed / runs


def test_a_doubled_error_rate_is_found_as_soon_as_was_published() -> None:
    doubled = 0.02 / 0.98 / (0.01 / 0.99)
    assert looks_needed(harm(0.05, 1.0), doubled, requests=3000, runs=300) == pytest.approx(3.48, abs=0.4)


def test_rounding_to_cells_costs_next_to_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = harm(0.05, 1.0)
    rounded = looks_needed(rule, 1.02, requests=300_000, runs=25)
    monkeypatch.setattr(spending, "CELLS", 100_000)
    assert rounded == pytest.approx(looks_needed(rule, 1.02, requests=300_000, runs=25), abs=1.0)


def test_an_equal_candidate_is_promoted_about_as_soon_as_by_the_e_process() -> None:
    assert looks_needed(safety(0.05, 1.5), 1.0, requests=3000, runs=150) < 15


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: harm(1.0, 1.1), "level is 1.0"),
        (lambda: harm(0.0, 1.1), "level is 0.0"),
        (lambda: harm(0.05, math.inf), "null is inf"),
        (lambda: replace(harm(0.05, 1.0), pace=0.0), "pace is 0.0"),
        (lambda: harm(0.05, 0.0), "null is 0.0"),
        (lambda: safety(0.05, 1.0), "a margin must be above 1"),
        (lambda: replace(harm(0.05, 1.0), pace=math.inf), "pace is inf"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(build: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build()
