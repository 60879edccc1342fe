"""What does a rule remember between two looks, and how far is it from deciding?"""

from dataclasses import asdict, astuple
from typing import TypeAlias

from assay.api.modeldeployment import ProcessState, WalkState
from assay.core.sentences import score
from assay.stats import means, moments, proportion, severity, spending
from assay.stats.means import Sums
from assay.stats.proportion import Evidence, Look
from assay.stats.severity import Graded
from assay.stats.spending import Walk

OfEvents: TypeAlias = proportion.Rule | spending.Rule
Rule: TypeAlias = OfEvents | means.Rule
NEARLY = 0.99  # of the threshold: what has not been reached is not told as reached


def stepped(rule: Rule, state: ProcessState, look: Look) -> ProcessState:
    """Return the state after one more look at events."""
    if isinstance(rule, means.Rule):
        raise TypeError("a rule about means is stepped by values")
    if isinstance(rule, proportion.Rule):
        known = _evidence(rule, state)
        evidence = (
            severity.update(rule, known, look) if isinstance(look, Graded) else proportion.update(rule, known, look)
        )
        return ProcessState(score=evidence.score, logs=list(evidence.logs))
    walk = spending.update(rule, _walk(state), look)
    top = 1 / rule.level
    told = top if spending.reached(walk) else min(1 / max(spending.tail(walk), rule.level), NEARLY * top)
    return ProcessState(
        score=told, walk=WalkState.model_validate({**asdict(walk), "law": [min(one, 1.0) for one in walk.law]})
    )


def averaged(rule: means.Rule, state: ProcessState, look: moments.Look) -> ProcessState:
    """Return the state after one more look at values."""
    evidence = means.update(rule, averages(rule, state), look)
    if not evidence.sums.w:
        return state
    return ProcessState(score=means.score(rule, evidence), sums=list(astuple(evidence.sums)), pace=evidence.pace)


def averages(rule: means.Rule, state: ProcessState) -> means.Evidence:
    """Return what a rule about means remembers."""
    if not state.sums:
        return means.start()
    candidate, stable, *sums = state.sums
    return means.Evidence(Sums(int(candidate), int(stable), *sums), state.pace, refuted=reached(rule, state))


def reached(rule: Rule, state: ProcessState) -> bool:
    """Return whether the rule's null hypothesis is refuted."""
    if isinstance(rule, means.Rule):
        return state.score >= 1 / rule.level
    if isinstance(rule, proportion.Rule):
        return proportion.reached(rule, _evidence(rule, state))
    return spending.reached(_walk(state))


def told(rule: Rule, state: ProcessState, noun: str) -> str:
    """Return the evidence as people read it: `5.1 of 100`, or `11 errors, decides at 13 or more`."""
    if not isinstance(rule, spending.Rule):
        return score(state.score, 1 / rule.level)
    count, bound = spending.standing(rule, _walk(state))
    if bound < 0:
        return f"{count} {noun}, decides at no number yet"
    return f"{count} {noun}, decides at {bound} or {'more' if rule.direction == 'harm' else 'fewer'}"


def _evidence(rule: proportion.Rule, state: ProcessState) -> Evidence:
    return Evidence(state.score, tuple(state.logs)) if state.logs else proportion.start(rule)


def _walk(state: ProcessState) -> Walk:
    if state.walk is None:
        return spending.start()
    return Walk(**{**state.walk.model_dump(), "law": tuple(state.walk.law)})
