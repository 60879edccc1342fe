"""What is promised of a rollout holds for whole ones: all looks, weights and checks together, decided by the operator's own code."""

import json
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from bench.decisions import section
from bench.decisions.measure import ASSAY, WHOLE_SHARE, WHOLE_TABLE
from bench.decisions.ours import remembered_laws
from bench.decisions.rollouts import Rollouts, Run
from bench.decisions.whole import LENIENT, STRICT, WHOLE, at_margin_last, even, worse

from assay.api.modeldeployment import Outcome
from assay.core.minimum import LEAST_LOOKS, LEAST_REQUESTS

FEW, MANY = 40, 100
WORLDS = {world.name: world for world in WHOLE}
EQUAL = WHOLE[1]
MARGIN = next(world for world in WHOLE if world.odds == (at_margin_last,))
SIMPSON = next(world for world in WHOLE if world.odds == (worse,))
AT_RISK = [world for world in WHOLE if world.most_rolled_back == 0.05]


@cache
def shares(name: str, runs: int) -> tuple[float, float]:
    """Rolled back, promoted."""
    ended = WORLDS[name].decide(np.random.default_rng([20261121, runs]), runs)
    return float((ended > 0).mean()), float((ended < 0).mean())


def at_most(bound: float, runs: int) -> float:
    return bound + 3 * math.sqrt(bound * (1 - bound) / runs)


def keeps_its_promise(world: Rollouts, runs: int) -> bool:
    rolled_back, promoted = shares(world.name, runs)
    return rolled_back <= at_most(world.most_rolled_back, runs) and promoted <= at_most(world.most_promoted, runs)


@pytest.mark.parametrize("world", [EQUAL, MARGIN], ids=lambda one: one.name)
def test_a_promise_is_kept(world: Rollouts) -> None:
    assert keeps_its_promise(world, FEW)


def test_an_equal_candidate_is_nearly_always_promoted() -> None:
    assert shares(EQUAL.name, FEW)[1] > 0.8


def test_a_candidate_that_pooled_counts_make_look_well_is_rolled_back() -> None:
    assert shares(SIMPSON.name, FEW)[0] == 1.0


@pytest.mark.exhaustive
@pytest.mark.parametrize("world", WHOLE, ids=lambda one: one.name)
def test_every_promise_is_kept(world: Rollouts) -> None:
    assert keeps_its_promise(world, MANY)


@pytest.mark.exhaustive
def test_over_all_worlds_in_which_nothing_is_worse_no_more_are_rolled_back_than_promised() -> None:
    """With so many rollouts, a level that is not split over the checks, or not kept over the looks, is seen."""
    found = [shares(world.name, MANY)[0] for world in AT_RISK]

    assert len(found) >= 6
    assert sum(found) / len(found) <= at_most(0.05, MANY * len(found))


def ran(world: Rollouts, seed: int = 1) -> tuple[Run, int, list[int]]:
    """A rollout that has ended, how, and the weights that its candidate had."""
    run, weights = Run(world, np.random.default_rng(seed)), []
    act = run._act

    def acted(decision: Any) -> None:
        act(decision)
        weights.append(run._weight)

    run._act = acted  # type: ignore[method-assign]
    with remembered_laws():
        return run, run.ended(), weights


def test_a_rollout_goes_through_its_weights_and_is_judged_by_all_its_checks() -> None:
    run, ended, weights = ran(Rollouts("three", (even,) * 3, thresholds=LENIENT))

    status = run._resource.status
    assert status.candidate is not None
    assert (status.candidate.outcome, status.candidate.step) == (Outcome.PROMOTED, 2)
    assert list(dict.fromkeys(weights)) == [0, 5, 25, 50]
    assert 3 * 5 <= -ended <= 60
    assert [one.name for one in status.checks] == ["errors", "latency", "refused"]
    for check in status.checks:
        assert check.step_requests >= LEAST_REQUESTS
        assert check.measured_looks >= LEAST_LOOKS
        assert check.totals[0] == run._resource.status.checks[0].totals[0]
        assert check.totals[1] / check.totals[0] == pytest.approx(0.01, rel=0.4)


def test_what_is_bad_in_one_check_alone_rolls_back_and_is_named() -> None:
    for place, name in enumerate(("errors", "latency", "refused")):
        odds = [even, even, even]
        odds[place] = lambda _: 5.0
        run, ended, _ = ran(Rollouts("one of three", tuple(odds)))

        assert ended > 0
        assert run._resource.status.worst_check == name


def test_scrapes_that_are_lost_and_operators_that_are_killed_count_nothing_twice() -> None:
    run, _, _ = ran(Rollouts("trouble", (even, even), thresholds=STRICT, trouble=0.3))

    (served, answered), *bad = run._counts
    assert run._resource.status.stable is not None
    for check, (stable_bad, candidate_bad) in zip(run._resource.status.checks, bad, strict=True):
        assert 0 < check.totals[0] <= answered
        assert check.totals[1] <= candidate_bad
        assert check.totals[2] <= served
        assert check.totals[3] <= stable_bad
        assert check.totals[0] > 0.8 * answered


def test_the_same_dice_give_the_same_rollouts() -> None:
    first, again, other = (EQUAL.decide(np.random.default_rng(seed), 4).tolist() for seed in (1, 1, 2))

    assert first == again != other


def kept() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(section.KEPT.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("world", WHOLE, ids=lambda one: one.name)
def test_what_was_measured_is_what_is_promised(world: Rollouts) -> None:
    one = kept()["tables"][WHOLE_TABLE][world.name][ASSAY]

    assert one["runs"] == kept()["replications"] / WHOLE_SHARE >= 500
    assert one["rolled_back"] - 3 * one["rolled_back_error"] <= world.most_rolled_back
    assert one["promoted"] - 3 * one["promoted_error"] <= world.most_promoted


def test_what_was_measured_shows_power_too() -> None:
    table = {name: row[ASSAY] for name, row in kept()["tables"][WHOLE_TABLE].items()}

    assert table[SIMPSON.name]["rolled_back"] > 0.99
    assert all(table[world.name]["promoted"] > 0.8 for world in AT_RISK)
