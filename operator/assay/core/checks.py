"""What does each check say about the candidate, on which evidence?"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from assay.api.base import Verdict
from assay.api.checks import DEFAULT_MARGIN, DEFAULT_TOLERANCE, Check, CheckPreset, Threshold
from assay.api.modeldeployment import Analysis, CheckStatus, ProcessState
from assay.core import coverage, evidence, measures
from assay.core.decision import Missing
from assay.core.evidence import Arms, Counted, Readings
from assay.core.measures import Found
from assay.core.sentences import bounds, rate, ratio, score, sentence, summary
from assay.core.times import moment
from assay.stats import proportion
from assay.stats.proportion import Effect, Evidence, Look, Rule

MOST_MISSED = 5  # looks in a row without a measurement, and a check says NoData
TOP_RATE = 1 - 1e-6  # a tolerated rate is kept below 1, where odds end


@dataclass(frozen=True, slots=True)
class Rules:
    """The hypotheses of one check. Harm needs both of its rules, safety either of its two."""

    harm: Rule
    harm_beyond: Rule | None
    """The candidate's rate is above `negligible`."""
    safety: Rule
    negligible: Rule | None


@dataclass(frozen=True, slots=True)
class Trial:
    """What a look needs to know beside the check."""

    arms: Arms
    analysis: Analysis
    now: datetime
    floor: float | None
    """Samples up to this second of the epoch count nothing; None: nothing may be counted at all."""
    waiting: str = ""
    """Why nothing may be counted."""

    @property
    def alpha(self) -> float:
        """Bound on a false rollback of one check: `falseRollback` split evenly over the required checks (Bonferroni)."""
        required = sum(check.required for check in self.analysis.checks)
        return float(self.analysis.false_rollback) / max(required, 1)

    @property
    def beta(self) -> float:
        """Bound on a false promotion of one check: uncorrected, because every required check must pass (Berger 1982)."""
        return float(self.analysis.false_promotion)


def begin(check: Check, trial: Trial) -> CheckStatus:
    """Return the state of a check that has not looked yet."""
    return CheckStatus(
        name=check.name, verdict=Verdict.UNDECIDED, reason="Not looked yet.", definition=_definition(check, trial)
    )


def begin_step(status: CheckStatus) -> CheckStatus:
    """Begin safety anew: a candidate that was well at a lower weight may not be at this one. Harm is never begun anew."""
    verdict = status.verdict if status.verdict is Verdict.FAIL else Verdict.UNDECIDED
    anew = {"safety": ProcessState(), "negligible": ProcessState(), "counters": [], "safety_evidence": "", "labels": []}
    return status.model_copy(update={**anew, "verdict": verdict, "missed_looks": 0, "step_requests": 0})


def _definition(check: Check, trial: Trial) -> str:
    """Return a digest of what the evidence is about; evidence of another definition is worth nothing."""
    written = [check.to_manifest(), trial.alpha, trial.beta]
    return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()[:8]


def carried(statuses: Sequence[CheckStatus], trial: Trial) -> tuple[CheckStatus, ...]:
    """Return one state for each check in spec: the old one, or a new one where the check is new or was changed."""
    old = {one.name: one for one in statuses}
    found = []
    for check in trial.analysis.checks:
        state = old.get(check.name)
        same = state is not None and state.definition == _definition(check, trial)
        found.append(state if state is not None and same else begin(check, trial))
    return tuple(found)


def look(check: Check, status: CheckStatus, found: Found, trial: Trial) -> CheckStatus:
    """Return the check's state after one look."""
    readings = measures.read(check, found, trial.arms)
    status, lacking = _with_odds(check, status, readings)
    floor, waiting = _floor(check, trial)
    if waiting:
        return status.model_copy(update={"reason": waiting}) if status.verdict is Verdict.UNDECIDED else status
    if isinstance(readings, Missing):
        return _missed(check, status, trial, readings.reason)
    if lacking:
        return _missed(check, status, trial, lacking)
    counted = evidence.count(status.counters, readings, floor)
    status = coverage.added(check, status, counted)
    kept = status if not counted.fresh else status.model_copy(update={"counters": list(counted.counters)})
    reason = _unmeasured(check, counted)
    if reason:
        return _missed(check, kept, trial, reason)
    reason, beyond_chance = coverage.lacking(check, status, trial.arms)
    if reason:
        # Which predictions have a label may depend on how they turned out: nothing is added to the evidence.
        return _missed(check, kept, trial, reason, in_a_row=beyond_chance)
    return _judged(check, _added(check, kept, counted, trial), trial)


def _floor(check: Check, trial: Trial) -> tuple[float, str]:
    """Return from which second of the epoch on samples count, and why none does yet, or an empty string.

    With labels, a sample shows what was predicted `labelDelaySeconds` before it, perhaps under another weight.
    """
    now = trial.now.timestamp()
    if trial.floor is None or now <= trial.floor:
        return now, trial.waiting
    floor = trial.floor + (check.label_delay_seconds or 0)
    ripe = moment(datetime.fromtimestamp(floor, UTC))
    return floor, f"The labels of the first predictions that count ripen until {ripe}." if now <= floor else ""


def _unmeasured(check: Check, counted: Counted) -> str:
    """Return why a look measured nothing, or an empty string. A zero is a measurement only where it was told."""
    if not counted.fresh:
        return "no sample is newer than the last look"
    if not counted.candidate_seen:
        return "no series tells of an event of the candidate"
    if not counted.stable_seen and check.limit is None:
        return "no series tells of an event of the stable revision"
    return ""


def _with_odds(check: Check, status: CheckStatus, readings: Readings | Missing) -> tuple[CheckStatus, str]:
    """Fix tolerance and margin as odds ratios, once; return also why that cannot be done yet, or an empty string."""
    if status.odds or check.limit is not None:
        return status, ""
    thresholds = (check.tolerance, DEFAULT_TOLERANCE), (check.margin, DEFAULT_MARGIN)
    rate = None if isinstance(readings, Missing) else _stable_rate(readings)
    tolerance, margin = (_odds(threshold or Threshold(relative=default), rate) for threshold, default in thresholds)
    if tolerance is None or margin is None:
        return status, "no event of the stable revision, at whose rate `absolute` is converted"
    if margin <= 1:
        told = "" if rate is None else f" at the stable revision's rate of {rate:.6g}"
        return status, f"`margin` leaves no room for anything worse{told}; see whether the check counts bad events"
    return status.model_copy(update={"odds": [tolerance, margin]}), ""


def _odds(threshold: Threshold, rate: float | None) -> float | None:
    if threshold.absolute is None:
        return proportion.odds_from_relative(threshold.relative or "0")
    if rate is None:
        return None
    room = max(TOP_RATE - rate, 0.0)
    return proportion.odds_from_absolute(min(float(threshold.absolute), room), rate)


def _stable_rate(readings: Readings) -> float | None:
    """Return the stable revision's rate over all that its pods have counted; half an event is added, so it is never 0."""
    latest = [pod[-1].stable for pod in readings.values() if pod]
    bad, total = sum(one[0] for one in latest), sum(one[1] for one in latest)
    return min((bad + 0.5) / (total + 1), TOP_RATE) if total else None


def _rules(check: Check, status: CheckStatus, trial: Trial) -> Rules:
    if check.limit is not None:
        limit = float(check.limit)
        return Rules(proportion.above(trial.alpha, limit), None, proportion.below(trial.beta, limit), None)
    tolerance, margin = status.odds
    harm = proportion.harm(trial.alpha, tolerance)
    if check.negligible is None:
        return Rules(harm, None, proportion.safety(trial.beta, margin), None)
    # Two ways to pass share the chance of passing wrongly. Harm must be shown in both ways, which costs nothing: while
    # either null holds, its own process keeps the chance of failing at alpha (an intersection-union test, Berger 1982).
    half, bound = trial.beta / 2, float(check.negligible)
    return Rules(
        harm, proportion.above(trial.alpha, bound), proportion.safety(half, margin), proportion.below(half, bound)
    )


def _missed(check: Check, status: CheckStatus, trial: Trial, why: str, *, in_a_row: bool = True) -> CheckStatus:
    missed = status.missed_looks + 1 if in_a_row else 1
    status = status.model_copy(update={"missed_looks": missed})
    if status.odds or check.limit is not None:
        status = _judged(check, status, trial)
    elif missed >= MOST_MISSED:
        status = status.model_copy(update={"verdict": Verdict.NO_DATA})
    looks = "this look" if missed == 1 else f"{missed} looks in a row"
    told = f"{summary(status, _noun(check))}; " if status.requests else ""
    return status.model_copy(update={"reason": sentence(f"{told}nothing could be measured in {looks}: {why}")})


def _added(check: Check, status: CheckStatus, counted: Counted, trial: Trial) -> CheckStatus:
    """Return the state with one more look in it."""
    rules, seen = _rules(check, status, trial), counted.look
    effect = proportion.update_effect(_effect(status), seen)
    totals = status.totals or [0, 0, 0, 0]
    grown = (seen.candidate_total, seen.candidate_bad, seen.stable_total, seen.stable_bad)
    update: dict[str, Any] = {
        "harm": _stepped(rules.harm, status.harm, seen),
        "safety": _stepped(rules.safety, status.safety, seen),
        "totals": [a + b for a, b in zip(totals, grown, strict=True)],
        "pooled": [effect.numerator, effect.denominator],
        "lattice": list(effect.logs),
        "missed_looks": 0,
        "step_requests": status.step_requests + seen.candidate_total,
        "last_look_time": moment(trial.now),
    }
    if rules.negligible is not None:
        update["negligible"] = _stepped(rules.negligible, status.negligible, seen)
    if rules.harm_beyond is not None:
        update["harm_beyond"] = _stepped(rules.harm_beyond, status.harm_beyond, seen)
    update["requests"] = update["totals"][0]
    return status.model_copy(update=update)


def _stepped(rule: Rule, state: ProcessState, seen: Look) -> ProcessState:
    after = proportion.update(rule, _evidence(rule, state), seen)
    return ProcessState(score=after.score, logs=list(after.logs))


def _evidence(rule: Rule, state: ProcessState) -> Evidence:
    return Evidence(state.score, tuple(state.logs)) if state.logs else proportion.start(rule)


def _reached(rule: Rule, state: ProcessState) -> bool:
    return proportion.reached(rule, _evidence(rule, state))


def harm_score(status: CheckStatus) -> float:
    """Return the evidence of harm: the lesser of the two processes, where `negligible` asks for both."""
    return min(status.harm.score, status.harm_beyond.score) if status.harm_beyond.logs else status.harm.score


def safety_share(status: CheckStatus, beta: float) -> float:
    """Return the evidence of safety as a share of what is asked for, by the better of the two ways to pass."""
    if not status.negligible.logs:
        return status.safety.score * beta
    return max(status.safety.score, status.negligible.score) * beta / 2


def _effect(status: CheckStatus) -> Effect:
    if not status.lattice:
        return proportion.start_effect()
    totals = status.totals
    return Effect(totals[0], totals[1], totals[2], totals[3], status.pooled[0], status.pooled[1], tuple(status.lattice))


def _judged(check: Check, status: CheckStatus, trial: Trial) -> CheckStatus:
    """Return the state with verdict, evidence and sentence."""
    rules = _rules(check, status, trial)
    harmed = _reached(rules.harm, status.harm) and (
        rules.harm_beyond is None or _reached(rules.harm_beyond, status.harm_beyond)
    )
    safe = _reached(rules.safety, status.safety) or (
        rules.negligible is not None and _reached(rules.negligible, status.negligible)
    )
    if harmed:
        verdict = Verdict.FAIL
    elif status.missed_looks >= MOST_MISSED:
        verdict = Verdict.NO_DATA
    else:
        verdict = Verdict.PASS if safe else Verdict.UNDECIDED
    return _worded(check, status.model_copy(update={"verdict": verdict}), rules)


def _worded(check: Check, status: CheckStatus, rules: Rules) -> CheckStatus:
    """Return the state with its numbers as a person reads them."""
    candidate_total, candidate_bad, stable_total, stable_bad = status.totals or [0, 0, 0, 0]
    effect = _effect(status)
    ways = [(status.safety.score, rules.safety)]
    if rules.negligible is not None:
        ways.append((status.negligible.score, rules.negligible))
    best, by = max(ways, key=lambda way: way[0])
    status = status.model_copy(
        update={
            "estimate_stable": rate((stable_bad, stable_total)),
            "estimate_candidate": rate((candidate_bad, candidate_total)),
            "effect": ratio(effect),
            "interval": bounds(effect),
            "harm_evidence": score(harm_score(status), proportion.threshold(rules.harm)),
            "safety_evidence": score(best, proportion.threshold(by)),
        }
    )
    return status.model_copy(update={"reason": sentence(summary(status, _noun(check)))})


def _noun(check: Check) -> str:
    """Return what the bad events of a check are called."""
    nouns = {CheckPreset.ERROR_RATIO: "errors", CheckPreset.ACCURACY: "wrong"}
    return "bad" if check.preset is None else nouns[check.preset]
