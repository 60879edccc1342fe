"""Means, ratios and gauges are judged from a file as they would be from Prometheus."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.adapters import recorded, recording
from assay.api.checks import Check
from assay.api.modeldeployment import ModelDeployment
from assay.core.errors import InvalidSpec
from assay.core.replay import Decision, Judged, replay
from core.simulation import a_spec

COUNTER = {"metric": "x"}
MEAN = {"name": "revenue", "better": "Higher", "mean": dict.fromkeys(("count", "sum", "sumOfSquares"), COUNTER)}
RATIO = {
    "name": "revenue",
    "better": "Higher",
    "ratio": dict.fromkeys(
        ("count", "numerator", "denominator", "numeratorSquares", "denominatorSquares", "products"), COUNTER
    ),
}
GAUGE = {"name": "revenue", "better": "Higher", "gauge": COUNTER}
SERIES = {"mean": recorded.MEAN, "ratio": recorded.RATIO, "gauge": recorded.GAUGE}
HEAD = "time,check,role,instance,series,value"


def looks_of(folder: Path, check: dict[str, Any], rows: list[str]) -> list[Judged]:
    (folder / "looks.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    found = recording.read(folder / "looks.csv", [Check.model_validate(check)])
    checks = [check, *([{"name": "errors", "preset": "error-ratio"}] if "gauge" in check else [])]
    spec = ModelDeployment.model_validate({"metadata": {"name": "a"}, "spec": a_spec(analysis__checks=checks)}).spec
    analysis = spec.analysis.model_copy(update={"checks": spec.analysis.checks[:1], "warmup_seconds": 0})
    return list(replay(spec.model_copy(update={"analysis": analysis}), found["1"]))


def rows_of(kind: str, times: float, looks: int = 40, *, restart: bool = False) -> list[str]:
    """Counters of values that may be negative; the candidate's are `times` as large."""
    dice, sums, rows = np.random.default_rng(3), np.zeros((2, len(SERIES[kind]))), []
    for look in range(looks):
        if restart and look == looks // 2:
            sums[1] = 0
        for role, (count, scale) in enumerate(((270, 1.0), (30, times))):
            values, visits = scale * dice.normal(1, 1, count), dice.geometric(0.5, count).astype(float)
            sales = values * visits
            grown = {
                "mean": [count, values.sum(), (values**2).sum()],
                "ratio": [
                    count,
                    sales.sum(),
                    visits.sum(),
                    (sales**2).sum(),
                    (visits**2).sum(),
                    (sales * visits).sum(),
                ],
                "gauge": [values.mean() / 5 - sums[role, 0]],
            }[kind]
            sums[role] += grown
            for series, value in zip(SERIES[kind], sums[role], strict=True):
                told = int(value) if series == "count" else float(value)
                rows.append(f"{30 * look},revenue,{recorded.ROLES[role]},i{role},{series},{told}")
    return rows


@pytest.mark.parametrize(("kind", "check"), [("mean", MEAN), ("ratio", RATIO)])
def test_a_worse_one_is_rolled_back_and_an_equal_one_promoted(tmp_path: Path, kind: str, check: dict[str, Any]) -> None:
    worse, equal = (looks_of(tmp_path, check, rows_of(kind, times))[-1] for times in (0.6, 1.0))

    assert (worse.decision, worse.check, equal.decision) == (Decision.ROLLBACK, "revenue", Decision.PROMOTE)
    assert "asymptotic" in worse.reason


def test_a_gauge_is_looked_at_and_rolls_nothing_back(tmp_path: Path) -> None:
    worse, equal = (looks_of(tmp_path, GAUGE, rows_of("gauge", times)) for times in (0.2, 1.0))

    assert {one.decision for one in worse} == {Decision.UNDECIDED}
    assert worse[-1].evidence[0][0] == pytest.approx(1)
    assert equal[-1].checks[0].verdict == "Pass"


def test_a_restart_is_told_by_the_count_and_a_row_that_is_missing_is_a_scrape_that_was_lost(tmp_path: Path) -> None:
    straight = looks_of(tmp_path, MEAN, rows_of("mean", 0.8, 6))[-1].checks[0]
    anew = looks_of(tmp_path, MEAN, rows_of("mean", 0.8, 6, restart=True))[-1].checks[0]
    holed = [row for row in rows_of("mean", 0.8, 6) if not row.startswith("60,revenue,candidate,i1,sumsq")]
    lost = looks_of(tmp_path, MEAN, holed)[-1].checks[0]

    assert (straight.requests, anew.requests, lost.requests) == (150, 150, 150)
    assert straight.estimate_candidate == anew.estimate_candidate


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["0,revenue,stable,i,total,1"], "Line 2: series 'total' of check revenue must be one of count, sum, sumsq"),
        (["0,revenue,stable,i,count,1.5"], "Line 2: value is '1.5': a count must be a whole number"),
        (["0,revenue,stable,i,count,-1"], "Line 2: value is '-1': must be a number from 0"),
        (["0,revenue,stable,i,sum,nan"], "Line 2: value is 'nan': must be a number"),
        (["0,revenue,stable,i,sum,many"], "Line 2: value is 'many': must be a number"),
        (["0,revenue,stable,i,sumsq,-1"], "a sum of squares none below 0"),
        (["x,revenue,stable,i,sum,1"], "Line 2: time is 'x'"),
        (["0,revenue,stable,i,sum,1"], "There are 1 series (run 1, revenue, stable): all of count, sum, sumsq"),
        (
            ["0,revenue,stable,i,sum,1", "1,revenue,stable,i,count,1", "2,revenue,stable,i,sumsq,1"],
            "At no time all of count, sum, sumsq are known",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_sentence(tmp_path: Path, rows: list[str], said: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        looks_of(tmp_path, MEAN, rows)

    assert said in str(refused.value)
