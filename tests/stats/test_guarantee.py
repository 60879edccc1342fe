"""How often does a process refute what is true? Counted over all outcomes, not sampled."""

import math
from bisect import bisect_left

import numpy as np
import pytest

from assay.stats.counts import Family, law
from assay.stats.proportion import Evidence, Look, Rule, above, below, harm, reached, safety, start, update
from stats import reference

EVERY_RULE = [harm(0.2, 1.0), harm(0.05, 1.1), safety(0.2, 1.5), safety(0.05, 1.25), above(0.2, 0.1), below(0.2, 0.3)]
each_rule = pytest.mark.parametrize("rule", EVERY_RULE, ids=lambda rule: f"{rule.kind}-{rule.direction}-{rule.level}")


def worlds(rule: Rule, parameter: float, depth: int = 3) -> list[tuple[float, Evidence]]:
    """All outcomes of an adaptive design: how much traffic the next look has depends on what was seen before."""
    total = {"relative": (4, 9, 4), "absolute": (7, 0, 0)}[rule.kind]
    alive = [(1.0, start(rule), total)]
    for _ in range(depth):
        following = []
        for probability, evidence, (candidate, stable, bad) in alive:
            shape = Look(candidate, min(bad, candidate), stable, bad - min(bad, candidate))
            for chance, look in reference.outcomes(rule, shape, parameter):
                more = 2 * candidate if look.candidate_bad <= 1 else candidate
                following.append((probability * chance, update(rule, evidence, look), (more, stable, bad)))
        alive = following
    return [(probability, evidence) for probability, evidence, _ in alive]


@each_rule
def test_at_the_edge_of_the_null_the_expected_score_is_one_and_false_alarms_stay_below_the_level(rule: Rule) -> None:
    everything = worlds(rule, rule.null)
    assert math.fsum(p for p, _ in everything) == pytest.approx(1)
    assert math.fsum(p * evidence.score for p, evidence in everything) == pytest.approx(1, abs=1e-6)
    assert math.fsum(p for p, evidence in everything if reached(rule, evidence)) <= rule.level


@pytest.mark.parametrize("factor", [0.97, 0.7, 0.2])
@each_rule
def test_inside_the_null_false_alarms_are_rarer_still(rule: Rule, factor: float) -> None:
    parameter = rule.null * factor if rule.direction == "harm" else 1 - (1 - rule.null) * factor
    if rule.kind == "relative" and rule.direction == "safety":
        parameter = rule.null / factor
    everything = worlds(rule, parameter)
    assert math.fsum(p * evidence.score for p, evidence in everything) <= 1
    assert math.fsum(p for p, evidence in everything if reached(rule, evidence)) <= rule.level


@pytest.mark.parametrize(
    "rule", [harm(0.05, 1.0), harm(0.01, 1.1), safety(0.05, 1.5), above(0.05, 0.2), below(0.01, 0.2)]
)
def test_one_huge_look_spends_nearly_all_of_the_level_and_never_more(rule: Rule) -> None:
    bad, requests = 400_000, 1_500_000
    odds = rule.null if rule.kind == "relative" else rule.null / (1 - rule.null)
    null = law(Family(rule.kind, requests, requests, bad), odds, np.array([0.5]))

    def refutes(x: float) -> bool:
        return reached(rule, update(rule, start(rule), Look(requests, int(x), requests, bad - min(bad, int(x)))))

    refuting = slice(bisect_left(null.counts, 1, key=refutes), None)
    if rule.direction == "safety":
        refuting = slice(None, bisect_left(null.counts, 1, key=lambda x: not refutes(x)))
    assert 0.95 * rule.level < np.exp(null.log_probabilities[refuting]).sum() <= rule.level
