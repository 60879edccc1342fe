"""What does each check say about the candidate, on which evidence?"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from assay.api.base import Verdict
from assay.api.checks import Check, CheckPreset
from assay.api.modeldeployment import MOST_LOOKS, CheckStatus, DecisionRule, ProcessState
from assay.core import coverage, dispersion, evidence, measures, quantiles, values
from assay.core.decision import Missing
from assay.core.dispersion import HourBefore
from assay.core.evidence import Counted
from assay.core.hypotheses import Rules, Trial, reconverted, rules_of, with_odds
from assay.core.measures import Found
from assay.core.outlook import outlook
from assay.core.processes import Rule, reached, stepped, told
from assay.core.scrapes import Readings
from assay.core.sentences import bounds, rate, ratio, sentence, summary
from assay.core.times import moment
from assay.stats import proportion
from assay.stats.proportion import Effect, Look

MOST_MISSED = 5  # looks in a row without a measurement, and a check says NoData
MOST_EVENTS = 10_000_000  # in a look: all that they may have fallen is worked out
STALE_SECONDS = 30.0  # the newest sample may be so old before its age is worth telling


def begin(check: Check, trial: Trial) -> CheckStatus:
    """Return the state of a check that has not looked yet."""
    return CheckStatus(
        name=check.name, verdict=Verdict.UNDECIDED, reason="Not looked yet.", definition=_definition(check, trial)
    )


def begin_step(status: CheckStatus, step: int) -> CheckStatus:
    """Begin safety anew: a candidate that was well at a lower weight may not be at this one. Harm is never begun anew."""
    verdict = status.verdict if status.verdict is Verdict.FAIL else Verdict.UNDECIDED
    anew: dict[str, Any] = {
        "quantile": quantiles.begin_step(status, step),
        "safety": ProcessState(),
        "negligible": ProcessState(),
        "counters": [],
        "safety_evidence": "",
        "labels": [],
        "verdict": verdict,
        "missed_looks": 0,
        "measured_looks": 0,
        "step_requests": 0,
    }
    return status.model_copy(update=anew)


def _definition(check: Check, trial: Trial) -> str:
    """Return a digest of what the evidence is about; evidence of another definition is worth nothing."""
    given = trial.analysis.dispersion
    rule = [] if trial.analysis.rule is DecisionRule.BOOSTED else [trial.analysis.rule]
    written = [check.to_manifest(), trial.alpha, trial.beta, *([] if given is None else [given]), *rule]
    return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()[:8]


def carried(statuses: Sequence[CheckStatus], trial: Trial) -> tuple[CheckStatus, ...]:
    """Return one state for each check in spec: the old one, or a new one where the check is new or was changed."""
    old = {one.name: one for one in statuses}
    found = []
    for check in trial.analysis.checks:
        state = old.get(check.name)
        same = state is not None and state.definition == _definition(check, trial)
        same = same and (check.quantile is not None or state is None or state.quantile is None)
        found.append(state if state is not None and same else begin(check, trial))
    return tuple(found)


def look(check: Check, status: CheckStatus, found: Found, trial: Trial) -> CheckStatus:
    """Return the check's state after one look."""
    before = partial(measures.read_before, check, found, trial.arms)
    return judge(check, status, measures.read(check, found, trial.arms), before, trial)


def judge(
    check: Check, status: CheckStatus, readings: Readings | Missing, before: HourBefore, trial: Trial
) -> CheckStatus:
    """Return the check's state after one look, whoever has read the counters.

    Args:
        check: The rule.
        status: The state after the last look.
        readings: What the counters say now, or why nothing is known.
        before: Reads what they said in the hour before, from which the dispersion is measured; called at most once a rollout.
        trial: The revisions, the moment, and from when on samples count.
    """
    status, lacking = with_odds(check, status, readings)
    floor, waiting = _floor(check, trial)
    if waiting:
        return _waiting(status, waiting)
    if isinstance(readings, Missing):
        return _missed(check, status, trial, readings.reason)
    if not lacking and not check.of_values:
        if check.quantile is not None:
            status = quantiles.begin(check, status, readings)
            before = partial(_at_quantile, check, status, before)
        status, lacking = dispersion.with_dispersion(check, status, before, trial)
    if lacking:
        return _missed(check, status, trial, lacking)
    count = evidence.count if check.gauge is None else values.gauged
    status = _counted(check, status, count(status.counters, readings, floor), trial)
    return reconverted(check, status, readings)


def _waiting(status: CheckStatus, why: str) -> CheckStatus:
    return status.model_copy(update={"reason": why}) if status.verdict is Verdict.UNDECIDED else status


def _at_quantile(check: Check, status: CheckStatus, before: HourBefore) -> Readings | Missing:
    readings = before()
    return readings if isinstance(readings, Missing) else quantiles.at_bound(check, status, readings)


def _counted(check: Check, status: CheckStatus, counted: Counted, trial: Trial) -> CheckStatus:
    """Return the state with what was counted, or with why it is no evidence."""
    if counted.late:
        return _waiting(status, f"What others counted waits for the next scrape of pod {counted.late}.")
    status = coverage.added(check, status, counted)
    kept = status if not counted.fresh else status.model_copy(update={"counters": list(counted.counters)})
    reason = _unmeasured(check, counted, trial)
    if not reason and not status.counters and not any(counted.events):
        return kept  # the first look of a step is what the next one subtracts
    if not reason and sum(counted.events) > MOST_EVENTS and not check.of_values:
        reason = (
            f"more than {MOST_EVENTS:,} events since the last look, which is more than can be weighed: look more often"
        )
    reason = reason or _quiet(check, counted) or quantiles.changed(status, counted)
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


def _unmeasured(check: Check, counted: Counted, trial: Trial) -> str:
    """Return why a look measured nothing, or an empty string. A zero is a measurement only where it was told."""
    if not counted.fresh:
        old = f"; the newest of all is {trial.lag:.0f} s old: Prometheus does not scrape, or its clock is behind"
        return f"no sample is newer than the last look{old if trial.lag > STALE_SECONDS else ''}"
    if not counted.candidate_seen:
        return "no series tells of an event of the candidate"
    if not counted.stable_seen and check.limit is None:
        return "no series tells of an event of the stable revision"
    return ""


def _quiet(check: Check, counted: Counted) -> str:
    """Return which revision had no event since the last look, or an empty string."""
    candidate, stable = counted.events
    if not candidate:
        return "no event of the candidate since the last look: it has no traffic, or too little for intervalSeconds"
    if not stable and check.limit is None:
        return (
            "no event of the stable revision since the last look: it has no traffic, or too little for intervalSeconds"
        )
    return ""


def _missed(check: Check, status: CheckStatus, trial: Trial, why: str, *, in_a_row: bool = True) -> CheckStatus:
    missed = status.missed_looks + 1 if in_a_row else 1
    status = status.model_copy(update={"missed_looks": missed, "measured_looks": 0})
    if status.odds or check.limit is not None:
        status = _judged(check, status, trial)
    elif missed >= MOST_MISSED:
        status = status.model_copy(update={"verdict": Verdict.NO_DATA})
    looks = "this look" if missed == 1 else f"{missed} looks in a row"
    told = values.summary(check, status) if check.of_values else summary(status, _noun(check, status))
    so_far = f"{told}; " if status.requests else ""
    return status.model_copy(update={"reason": sentence(f"{so_far}nothing could be measured in {looks}: {why}")})


def _added(check: Check, status: CheckStatus, counted: Counted, trial: Trial) -> CheckStatus:
    """Return the state with one more look in it."""
    if check.of_values:
        return values.added(check, status, counted, trial)
    rules, old = rules_of(check, status.odds, trial.analysis), status.totals or [0, 0, 0, 0]
    if check.quantile is None:
        look, state = counted.look, None
        totals = _grown(old, look)
        tolerated = seen = dispersion.weighed(old, totals, status.dispersion)
    else:
        state, (look, seen, tolerated) = quantiles.added(check, status, counted.histogram, trial)
        totals = _grown(old, look)
    update: dict[str, Any] = {
        "harm": stepped(rules.harm, status.harm, tolerated),
        "safety": stepped(rules.safety, status.safety, seen),
        "totals": totals,
        "quantile": state,
        "looks": [*status.looks, [round(trial.now.timestamp()), *_four(look)]][-MOST_LOOKS:],
        "missed_looks": 0,
        "measured_looks": status.measured_looks + 1,
        "step_requests": status.step_requests + look.candidate_total,
        "last_look_time": moment(trial.now),
    }
    if check.quantile is None:  # of a quantile, what is told comes from the histograms
        effect = proportion.update_effect(_effect(status), seen)
        update |= {"pooled": [effect.numerator, effect.denominator], "lattice": list(effect.logs)}
    if rules.negligible is not None:
        update["negligible"] = stepped(rules.negligible, status.negligible, seen)
    if rules.harm_beyond is not None:
        update["harm_beyond"] = stepped(rules.harm_beyond, status.harm_beyond, seen)
    update["requests"] = update["totals"][0]
    return status.model_copy(update=update)


def _four(look: Look) -> tuple[int, int, int, int]:
    return look.candidate_total, look.candidate_bad, look.stable_total, look.stable_bad


def _grown(totals: Sequence[int], look: Look) -> list[int]:
    return [a + b for a, b in zip(totals, _four(look), strict=True)]


def harm_share(status: CheckStatus, alpha: float) -> float:
    """Return the evidence of harm as a share of what rolls back; the lesser of two processes, where `negligible` asks for both."""
    if status.quantile is not None:
        return max(status.harm.score * alpha / 2, status.quantile.harm)
    score = min(status.harm.score, status.harm_beyond.score) if status.harm_beyond.logs else status.harm.score
    return score * alpha


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
    rules = rules_of(check, status.odds, trial.analysis)
    harmed = reached(rules.harm, status.harm) and (
        rules.harm_beyond is None or reached(rules.harm_beyond, status.harm_beyond)
    )
    harmed = harmed or (status.quantile is not None and status.quantile.harm == 1)
    safe = reached(rules.safety, status.safety) or (
        rules.negligible is not None and reached(rules.negligible, status.negligible)
    )
    if harmed and check.gauge is None:
        verdict = Verdict.FAIL
    elif status.missed_looks >= MOST_MISSED:
        verdict = Verdict.NO_DATA
    else:
        verdict = Verdict.PASS if safe and not harmed else Verdict.UNDECIDED
    return _worded(check, status.model_copy(update={"verdict": verdict}), rules, trial)


def _worded(check: Check, status: CheckStatus, rules: Rules, trial: Trial) -> CheckStatus:
    """Return the state with its numbers as a person reads them."""
    if check.of_values:
        return values.worded(check, status, trial)
    candidate_total, candidate_bad, stable_total, stable_bad = status.totals or [0, 0, 0, 0]
    effect, noun = _effect(status), _noun(check, status)
    ways: list[tuple[ProcessState, Rule]] = [(status.safety, rules.safety)]
    if rules.negligible is not None:
        ways.append((status.negligible, rules.negligible))
    best, by = max(ways, key=lambda way: way[0].score)
    beyond = rules.harm_beyond is not None and status.harm_beyond.score < status.harm.score
    status = status.model_copy(
        update={
            "estimate_stable": rate((stable_bad, stable_total)),
            "estimate_candidate": rate((candidate_bad, candidate_total)),
            "effect": ratio(effect),
            "interval": bounds(effect),
            "harm_evidence": told(rules.harm, status.harm_beyond if beyond else status.harm, noun),
            "safety_evidence": told(by, best, noun),
        }
    )
    if check.quantile is not None and status.quantile is not None:
        update = quantiles.told(check, status)
        if status.quantile.harm > status.harm.score * trial.alpha / 2:
            update["harm_evidence"] = quantiles.standing(status.quantile)
        status = status.model_copy(update=update)
    parts = [summary(status, noun), outlook(status, rules)]
    return status.model_copy(update={"reason": sentence("; ".join(part for part in parts if part))})


def _noun(check: Check, status: CheckStatus) -> str:
    """Return what the bad events of a check are called."""
    unit = " s" if check.preset is CheckPreset.LATENCY else ""
    if check.quantile is not None:
        return "slow" if status.quantile is None else f"beyond {status.quantile.bound:g}{unit}"
    if check.preset is CheckPreset.LATENCY:
        return f"slower than {measures.slow_bound(check) / 1000:g} s"
    if check.class_coverage:
        return "wrong (classes thinned to equal coverage)"
    nouns = {CheckPreset.ERROR_RATIO: "errors", CheckPreset.ACCURACY: "wrong"}
    return "bad" if check.preset is None else nouns[check.preset]
