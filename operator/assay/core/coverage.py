"""Had enough predictions a label in time, of both revisions?"""

from assay.api.checks import DEFAULT_COVERAGE, Check
from assay.api.modeldeployment import CheckStatus
from assay.core.evidence import Counted
from assay.core.scrapes import Arms

ENOUGH = 50  # predictions of a revision, from which on a share is more than chance: 0.8 is known to 0.11


def added(check: Check, status: CheckStatus, counted: Counted) -> CheckStatus:
    """Return the state with the predictions of one more look; other checks than those with labels have none."""
    if check.label_delay_seconds is None:
        return status
    look, (candidate, stable) = counted.look, counted.unlabelled
    grown = (look.candidate_total, candidate, look.stable_total, stable)
    labels = [a + b for a, b in zip(status.labels or [0, 0, 0, 0], grown, strict=True)]
    return status.model_copy(update={"labels": labels})


def shares(status: CheckStatus) -> tuple[float, float]:
    """Return the shares of labelled predictions in this step, candidate and stable; 1 where there were none."""
    candidate_with, candidate_without, stable_with, stable_without = status.labels or [0, 0, 0, 0]
    return _share(candidate_with, candidate_without), _share(stable_with, stable_without)


def _share(labelled: int, unlabelled: int) -> float:
    return labelled / (labelled + unlabelled) if labelled + unlabelled else 1.0


def lacking(check: Check, status: CheckStatus, arms: Arms) -> tuple[str, bool]:
    """Return why too few labels came, and whether that is more than chance; an empty string where enough did.

    An absolute rule looks at the candidate alone, so stable's labels do not matter to it.
    """
    least = check.min_coverage or DEFAULT_COVERAGE
    if check.class_coverage:  # of thinned counts no smaller share has a label, if labels come as is said
        least = min(check.class_coverage.values(), key=float)
    names = ((f"candidate {arms.candidate}", 0), (f"stable revision {arms.stable}", 2))
    for (who, place), share in zip(names, shares(status), strict=True):
        if share < float(least) and (place == 0 or check.limit is None):
            count = sum(status.labels[place : place + 2])
            told = f"{share:.3g} of {count} predictions of the {who} had a label after {check.label_delay_seconds} s"
            field = "the least of classCoverage" if check.class_coverage else "minCoverage"
            return f"{told}, and {field} is {least}", count >= ENOUGH
    return "", False
