"""Labels of one class come later than those of another: is a candidate judged as if they came alike?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from assay.api.base import Verdict
from assay.api.checks import Check
from assay.api.modeldeployment import CheckStatus
from assay.core import checks, measures
from assay.core.decision import Missing, Query, Series
from assay.core.names import OUTCOMES_METRIC
from core.test_checks import ARMS, a_trial

COVERAGE = {"fraud": 0.3, "fine": 0.9}
SHARE = {"fraud": 0.2, "fine": 0.8}
QUERY = Query(OUTCOMES_METRIC, (("age_seconds", "60"),))
ACCURACY = {"name": "accuracy", "preset": "accuracy", "labelDelaySeconds": 60}


def a_check(**changes: Any) -> Check:
    return Check.model_validate({**ACCURACY, **changes})


CORRECTED = a_check(classCoverage={"fraud": "0.3", "fine": "0.9"})


class Labels:
    """A model server of each revision, whose counters grow."""

    def __init__(self, wrong: Mapping[str, Mapping[str, float]], coverage: Mapping[str, float] = COVERAGE) -> None:
        self.wrong, self.coverage, self.dice = wrong, coverage, np.random.default_rng(4)
        self.counts: dict[tuple[str, str, str], int] = {}

    def predict(self, size: int) -> None:
        for revision, wrong in self.wrong.items():
            for of, share in SHARE.items():
                made = self.dice.binomial(size, share)
                labelled = self.dice.binomial(made, self.coverage[of])
                bad = self.dice.binomial(labelled, wrong[of])
                for key, more in (
                    (("wrong", of), bad),
                    (("correct", of), labelled - bad),
                    (("unlabelled", ""), made - labelled),
                ):
                    self.counts[revision, *key] = self.counts.get((revision, *key), 0) + more

    def found(self, at: float) -> dict[Query, tuple[Series, ...] | Missing]:
        return {QUERY: tuple(
            Series({"pod": f"pod-{revision}", "assay_revision": revision, "outcome": outcome, "class": of}, ((at, float(count)),))
            for (revision, outcome, of), count in self.counts.items()
        )}  # fmt: skip


def judged(check: Check, labels: Labels, *, to_the_end: bool = False) -> CheckStatus:
    status = checks.begin(check, a_trial(check))
    for look in range(40):
        labels.predict(1000)
        at = 100.0 * (look + 1)
        status = checks.look(check, status, labels.found(at), a_trial(check, at=at))
        if not to_the_end and status.verdict in (Verdict.FAIL, Verdict.PASS, Verdict.NO_DATA):
            break
    return status


EQUAL = {"fraud": 0.3, "fine": 0.05}


def test_a_candidate_that_is_worse_where_labels_come_late_is_judged_by_its_true_rate() -> None:
    worse = {ARMS.stable: EQUAL, ARMS.candidate: {"fraud": 0.45, "fine": 0.05}}
    truth = {revision: sum(SHARE[of] * wrong[of] for of in SHARE) for revision, wrong in worse.items()}

    naive = judged(a_check(minCoverage="0.1"), Labels(worse), to_the_end=True)
    thinned = judged(CORRECTED, Labels(worse), to_the_end=True)

    assert float(thinned.estimate_candidate) == pytest.approx(truth[ARMS.candidate], abs=0.01)
    assert float(thinned.estimate_stable) == pytest.approx(truth[ARMS.stable], abs=0.01)
    assert float(naive.estimate_candidate) < 0.8 * truth[ARMS.candidate], (
        "quick labels weigh more where nothing is corrected"
    )
    assert "wrong (classes thinned to equal coverage)" in thinned.reason


def test_it_fails_where_it_is_worse_and_an_equal_one_passes() -> None:
    worse = {ARMS.stable: EQUAL, ARMS.candidate: {"fraud": 0.6, "fine": 0.05}}

    assert judged(CORRECTED, Labels(worse)).verdict is Verdict.FAIL
    assert judged(CORRECTED, Labels({ARMS.stable: EQUAL, ARMS.candidate: EQUAL})).verdict is Verdict.PASS


def test_fewer_labels_than_was_said_are_no_evidence() -> None:
    status = judged(CORRECTED, Labels({ARMS.stable: EQUAL, ARMS.candidate: EQUAL}, {"fraud": 0.05, "fine": 0.1}))

    assert status.verdict is Verdict.NO_DATA
    assert "the least of classCoverage is 0.3" in status.reason


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"class": "other"}, "class other, of which classCoverage says nothing"),
        ({}, "no class, which classCoverage needs"),
    ],
)
def test_a_class_that_nobody_spoke_of_is_told(labels: dict[str, str], why: str) -> None:
    series = Series({"pod": "p", "assay_revision": ARMS.stable, "outcome": "wrong", **labels}, ((1.0, 5.0),))
    assert measures.read(CORRECTED, {QUERY: (series,)}, ARMS) == Missing(f"assay_outcomes_total of pod p has {why}")
