"""What do values say of the candidate: their mean, a ratio of means, or a gauge?

Approximate tests of means (stats/means.py) take the place of those of proportions. How values differ is told by the looks
themselves, so nothing is measured in the hour before.
"""

from collections.abc import Sequence
from typing import Any

from assay.api.checks import Check
from assay.api.modeldeployment import CheckStatus, CounterState
from assay.core import outlook, past_looks
from assay.core.evidence import Counted, chosen, to_state
from assay.core.hypotheses import Trial, rules_of_values
from assay.core.kinds import GAUGE, Numbers
from assay.core.processes import averaged, averages, told
from assay.core.scrapes import Readings
from assay.core.sentences import LEVEL, sentence, span
from assay.core.times import moment
from assay.stats import means
from assay.stats.moments import Arm, Look, Pairs, arm, look_at_gauges, look_at_ratios

LACKS: dict[means.Lack, str] = {
    "looks": f"nothing is said before {means.LOOKS:.0f} looks, nor of a gauge before {means.GAUGE_LOOKS:.0f}",
    "values": f"nothing is said before {means.VALUES} values of each revision",
    "precision": f"nothing is said before each mean is known to {means.PRECISION:.0%}",
    "sign": "the mean of the stable revision is not above 0, so that no fraction of it can be told",
    "spread": "all values are the same, so that nobody knows how another could be",
}


def gauged(known: Sequence[CounterState], readings: Readings, floor: float) -> Counted:
    """Return the newest value of every gauge that told one since the last look, averaged over the targets.

    What only one revision has told waits for the other: their pods need not be scraped at the same moments.

    Args:
        known: When each target was last read.
        readings: From `read`.
        floor: Seconds since the epoch; readings up to then count nothing.
    """
    before = {(one.pod, one.target): one for one in known}
    stable: list[float] = []
    candidate: list[float] = []
    counters: list[CounterState] = []
    fresh = False
    for target in chosen(readings, before, GAUGE):
        state, latest = before.get(target), readings[target][-1]
        if latest.time > max(floor, state.time if state else floor):
            fresh, state = True, to_state(target, latest)
            stable += latest.values(1)
            candidate += latest.values(1 + GAUGE.width)
        if state is not None:
            counters.append(state)
    counters.sort(key=lambda one: (one.pod, one.target))
    of_stable, of_candidate = ((len(found), sum(found) / max(len(found), 1)) for found in (stable, candidate))
    told = bool(stable), bool(candidate)
    return Counted(of_stable, of_candidate, GAUGE, (), tuple(counters) if all(told) else tuple(known), fresh, *told)


def added(check: Check, status: CheckStatus, counted: Counted, trial: Trial) -> CheckStatus:
    """Return the state with one more look, in which both revisions had values."""
    (harm, safety), look = rules_of_values(check, status.odds, trial.analysis), _look(check, counted)
    update: dict[str, Any] = {
        "harm": averaged(harm, status.harm, look),
        "safety": averaged(safety, status.safety, look),
        "missed_looks": 0,
        "measured_looks": status.measured_looks + 1,
        "requests": status.requests + look.candidate.count,
        "step_requests": status.step_requests + look.candidate.count,
        "last_look_time": moment(trial.now),
    }
    if look.candidate.count and look.stable.count:
        update["value_looks"] = past_looks.with_one(status.value_looks, counted, trial.now)
    if check.ratio is not None:
        grown = (*counted.candidate[1:3], *counted.stable[1:3])
        update["pooled"] = [a + b for a, b in zip(status.pooled or [0.0] * 4, grown, strict=True)]
    return status.model_copy(update=update)


def _look(check: Check, counted: Counted) -> Look:
    """Return the look; without values, so that it says nothing, where nobody can calculate with them."""
    try:
        return _compared(check, counted)
    except ValueError:
        return Look(Arm(0, 0.0, 0.0), Arm(0, 0.0, 0.0))


def _compared(check: Check, counted: Counted) -> Look:
    if check.gauge is not None:
        return look_at_gauges(counted.candidate[1], counted.stable[1])
    if check.ratio is not None:
        return look_at_ratios(_pairs(counted.candidate), _pairs(counted.stable))
    candidate, stable = (arm(int(side[0]), side[1], side[2]) for side in (counted.candidate, counted.stable))
    return Look(candidate, stable)


def _pairs(side: Numbers) -> Pairs:
    return Pairs(int(side[0]), *side[1:])


def worded(check: Check, status: CheckStatus, trial: Trial) -> CheckStatus:
    """Return the state with its numbers as a person reads them."""
    harm, safety = rules_of_values(check, status.odds, trial.analysis)
    evidence = averages(harm, status.harm)
    ratio = means.ratio(evidence.sums)
    low, high = means.interval(evidence, LEVEL)
    candidate, stable = _estimates(check, status, evidence.sums)
    status = status.model_copy(
        update={
            "estimate_candidate": candidate,
            "estimate_stable": stable,
            "effect": "" if ratio is None else f"{ratio:.3g}",
            "interval": span(low, high) if evidence.pace else "",
            "harm_evidence": told(harm, status.harm, ""),
            "safety_evidence": told(safety, status.safety, ""),
        }
    )
    lacks = means.lacking(safety, averages(safety, status.safety).sums)
    parts = [summary(check, status), LACKS[lacks] if lacks else "", outlook.of_values(status, harm, safety)]
    if check.gauge is not None:
        parts.append("a gauge holds a candidate, and never rolls it back")
    return status.model_copy(update={"reason": sentence("; ".join(part for part in parts if part))})


def summary(check: Check, status: CheckStatus) -> str:
    """Return the evidence: `candidate mean 1.31 of 600, stable 1.2 of 5400 (ratio 1.09); asymptotic harm evidence ...`."""
    if not status.harm.sums or not status.estimate_candidate:
        return "nothing counted yet"
    what = "mean" if check.mean is not None else "ratio" if check.ratio is not None else "gauge"
    of_candidate, of_stable = (f"{count:.0f}" for count in status.harm.sums[:2])
    effect = f" (times stable: {status.effect})" if status.effect else ""
    return (
        f"candidate {what} {status.estimate_candidate} of {of_candidate}, stable {status.estimate_stable} of {of_stable}"
        f"{effect}; asymptotic harm evidence {status.harm_evidence}; asymptotic safety evidence {status.safety_evidence}"
    )


def _estimates(check: Check, status: CheckStatus, sums: means.Sums) -> tuple[str, str]:
    """Return both values as texts; those of a ratio are of all that was counted, for its looks hold products."""
    if check.ratio is not None:
        found = status.pooled or [0.0] * 4
        pairs = zip(found[::2], found[1::2], strict=True)
        candidate, stable = (f"{over / under:.4g}" if under else "" for over, under in pairs)
        return candidate, stable
    estimates = means.estimates(sums)
    return ("", "") if estimates is None else (f"{estimates[0]:.4g}", f"{estimates[1]:.4g}")
