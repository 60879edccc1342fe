"""What is kept of looks at values suffices to work the evidence out again, and never grows beyond what fits."""

import json
from typing import Any

import numpy as np
import pytest

from assay.api.checks import Check
from assay.api.modeldeployment import MOST_LOOKS, CheckStatus
from assay.core import checks, past_looks
from assay.core.hypotheses import rules_of_values
from assay.core.processes import averaged, averages
from assay.stats import means
from assay.stats.moments import Look, Pairs, arm, look_at_gauges, look_at_ratios
from core.test_values import RATIO, Numbers, a_check, a_trial, gauges, grown, kept, looked, users


def ratios(looks: int = 12) -> list[tuple[Numbers | None, Numbers | None]]:
    dice, sums = np.random.default_rng(8), np.zeros((2, 6))
    found: list[tuple[Numbers | None, Numbers | None]] = [((0.0,) * 6, (0.0,) * 6)]
    for _ in range(looks):
        sums += [users(dice, 60, 0.8), users(dice, 240, 1.0)]
        found.append((tuple(sums[0].tolist()), tuple(sums[1].tolist())))
    return found


def audited(check: Check, look: list[float]) -> Look:
    """Read a look that was kept, as somebody would who knows what the fields of the check mean."""
    half = len(look) // 2
    candidate, stable = look[1 : 1 + half], look[1 + half :]
    if check.gauge is not None:
        return look_at_gauges(candidate[1], stable[1])
    if check.ratio is not None:
        return look_at_ratios(*(Pairs(int(side[0]), *side[1:]) for side in (candidate, stable)))
    return Look(*(arm(int(side[0]), side[1], side[2]) for side in (candidate, stable)))


KINDS: dict[str, tuple[dict[str, Any], list[Any], int]] = {
    "mean": ({}, grown(3, 0.8, 12), 7),
    "ratio": ({"mean": None, "ratio": RATIO}, ratios(), 13),
    "gauge": ({"mean": None, "gauge": {"metric": "drift"}}, gauges(0.8, 0.9, 12), 5),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_evidence_can_be_worked_out_again_from_the_looks_that_were_kept(name: str) -> None:
    changes, told, width = KINDS[name]
    check = a_check(**changes)
    status = looked(check, told)

    rule, _ = rules_of_values(check, status.odds, a_trial(check).analysis)
    again = means.start()
    for look in status.value_looks:
        assert len(look) == width
        again = means.update(rule, again, audited(check, look))

    assert kept(check, status)
    assert len(status.value_looks) == 12
    assert again == averages(rule, status.harm)
    assert status.harm.score == means.score(rule, again)
    assert [look[0] for look in status.value_looks][-1] == 10 * len(told)


def test_the_record_of_a_rollout_outlives_its_steps_and_keeps_the_last_sixty() -> None:
    check = a_check()
    status = looked(check, grown(3, 1.0, 70))

    assert len(status.value_looks) == MOST_LOOKS == 60
    assert status.value_looks[0][0] == 10 * 12
    assert checks.begin_step(status, 1).value_looks == status.value_looks


@pytest.mark.parametrize("name", KINDS)
def test_it_goes_through_the_status_and_takes_less_than_sixteen_kilobytes(name: str) -> None:
    changes, told, _ = KINDS[name]
    status = looked(a_check(**changes), told)
    status = status.model_copy(update={"value_looks": (status.value_looks * 5)[:60]})

    written = json.dumps(status.to_manifest()["valueLooks"], allow_nan=False)

    assert len(written) < 16_000
    assert CheckStatus.model_validate(json.loads(json.dumps(status.to_manifest()))) == status


def test_a_look_that_says_nothing_is_not_kept() -> None:
    check = a_check(mean=None, ratio=RATIO)
    nothing = [((10.0 * n, 5.0 * n, 0.0, 9.0 * n, 0.0, 0.0),) * 2 for n in range(4)]

    assert looked(check, nothing).value_looks == []


@pytest.mark.parametrize(
    "look",
    [[1.0] * 6, [1.0, 0.0, 1.0, 1.0, 5.0, 1.0, 1.0], [-1.0] + [1.0] * 6, [1.0, 5.0, 1e300, 1.0, 5.0, 1.0, 1.0], []],
    ids=["of no width", "without values", "before the epoch", "beyond numbers", "empty"],
)
def test_a_record_that_no_look_can_have_left_begins_anew(look: list[float]) -> None:
    check, status = a_check(), looked(a_check(), grown(3, 1.0, 6))

    assert kept(check, status)
    assert not kept(check, status.model_copy(update={"value_looks": [look]}))


def a_look(at: float, candidate: float, stable: float) -> list[float]:
    return [at, candidate, 0.0, 0.0, stable, 0.0, 0.0]


def test_traffic_is_told_by_what_lies_between_looks_and_not_by_gaps() -> None:
    even = [a_look(10.0 * n, 20, 80) for n in range(6)]
    late = [a_look(1000 + 10.0 * n, 50, 50) for n in range(6)]
    uneven = [a_look(at, 15, 135) for at in (0.0, 10, 30, 40, 60, 70)]  # scraped every 15 s, looked at every 10

    thrice = [*even, a_look(80, 90, 210), a_look(115, 900, 100)]  # 30 s after the last, and more than 30

    assert past_looks.per_second(even) == 10
    assert past_looks.per_second([a_look(n, 20, 80) for n in range(6)]) == 100
    assert past_looks.per_second(thrice) == pytest.approx((5 * 100 + 300) / 80)
    assert past_looks.per_second(even + late) == 10
    assert past_looks.per_second(uneven) == pytest.approx(10, rel=0.1)
    assert past_looks.per_second(even[:1]) == past_looks.per_second([]) == past_looks.per_second(even[:1] * 2) == 0


def test_what_comes_next_is_told_by_the_last_ten_looks() -> None:
    looks = [a_look(n, 1, 1) for n in range(20)] + [a_look(n, 20, 80) for n in range(20, 30)]

    assert past_looks.of_candidate(looks) == 20
    assert past_looks.weight(looks) == 16


def test_the_state_of_an_older_release_goes_on_without_a_record() -> None:
    check, told = a_check(), grown(3, 1.0, 12)
    before = looked(check, told[:7])
    written = {key: value for key, value in before.to_manifest().items() if key != "valueLooks"}

    status = CheckStatus.model_validate(written)

    assert status.harm == before.harm
    assert status.value_looks == []
    assert kept(check, status)
    rule, _ = rules_of_values(check, status.odds, a_trial(check).analysis)
    assert averaged(rule, status.harm, Look(arm(9, 9.0, 9.0), arm(9, 9.0, 9.0))).sums[0] == status.harm.sums[0] + 9
