"""ModelDeployment: release a model revision by canary, gated by metrics, and roll it back by itself."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from assay.api.base import DECIMAL, Decimal, Flag, Integer, Manifest, Model, Probability, Seconds
from assay.api.checks import (
    Check,
    CheckPreset,
    Checks,
    Threshold,
)
from assay.api.intent import Intent, IntentEntry, IntentName, IntentStatus, Wish, WishState, WishStatus
from assay.api.metrics import Better, LabelMatch, Mean, Proportion, Ratio
from assay.api.modeldeployment_status import (
    MOST_LOOKS,
    CandidateStatus,
    CheckStatus,
    CounterState,
    HistoryEntry,
    ModelDeploymentStatus,
    Outcome,
    ProcessState,
    QuantileState,
    Quarantined,
    RanksState,
    StableStatus,
    Stage,
    WalkState,
)
from assay.api.rules import Rule
from assay.api.serving import (
    MetricsPreset,
    ModelIdentity,
    PodTemplate,
    Protocol,
    RevisionHeader,
    Router,
    Serving,
    ServingMetrics,
    Traffic,
)
from assay.api.strategy import Canary, Pause, Step, Strategy

__all__ = [
    "MOST_LOOKS",
    "Analysis",
    "Better",
    "Canary",
    "CandidateStatus",
    "Check",
    "CheckPreset",
    "CheckStatus",
    "CounterState",
    "DecisionRule",
    "Gate",
    "HistoryEntry",
    "Intent",
    "IntentEntry",
    "IntentName",
    "IntentStatus",
    "LabelMatch",
    "Mean",
    "MetricsPreset",
    "ModelDeployment",
    "ModelDeploymentSpec",
    "ModelDeploymentStatus",
    "ModelIdentity",
    "NoDataPolicy",
    "Outcome",
    "Pause",
    "ProcessState",
    "Proportion",
    "Protocol",
    "QuantileState",
    "Quarantined",
    "RanksState",
    "Ratio",
    "RevisionHeader",
    "Rollback",
    "Router",
    "Serving",
    "ServingMetrics",
    "StableStatus",
    "Stage",
    "Step",
    "Strategy",
    "Threshold",
    "Traffic",
    "WalkState",
    "Wish",
    "WishState",
    "WishStatus",
]

LONGEST_NAME = 52
MOST_DISPERSION = 1000
SERVICE_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"


class NoDataPolicy(StrEnum):
    """What to do when nothing can be measured or decided."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"


class Gate(StrEnum):
    """What leaving a step asks for beside time, requests and data."""

    EVIDENCE = "Evidence"
    PASS = "Pass"  # noqa: S105 - no password
    TIME = "Time"


class DecisionRule(StrEnum):
    """How evidence is weighed, look by look."""

    BOOSTED = "Boosted"
    SPENDING = "Spending"


class Analysis(Model):
    """How the candidate is judged."""

    rules = (
        Rule(
            "rule Spending compares proportions with stable alone: leave limit, negligible, quantile, mean, ratio and gauge out of the checks, or use rule Boosted",
            "!has(self.rule) || self.rule != 'Spending' || self.checks.all(check, !has(check.limit) &&"
            " !has(check.negligible) && !has(check.quantile) && !has(check.mean) && !has(check.ratio) && !has(check.gauge))",
            lambda one: (
                one.rule is not DecisionRule.SPENDING
                or not any(check.limit or check.negligible or check.quantile or check.of_values for check in one.checks)
            ),
        ),
        Rule(
            "checks must have at least one that is required, or nothing would ever be decided",
            "self.checks.exists(check, !has(check.required) || check.required)",
            lambda one: any(check.required for check in one.checks),
        ),
        Rule(
            "a gauge holds a candidate, but promotes and rolls back none: one required check must be no gauge",
            "!self.checks.exists(check, !has(check.required) || check.required) ||"
            " self.checks.exists(check, (!has(check.required) || check.required) && !has(check.gauge))",
            lambda one: (
                not any(check.required for check in one.checks)
                or any(check.required and check.gauge is None for check in one.checks)
            ),
        ),
        Rule(
            "deadlineSeconds must be greater than warmupSeconds plus the longest labelDelaySeconds,"
            " or nothing would be counted in time",
            "self.checks.all(check, self.deadlineSeconds > self.warmupSeconds +"
            " (has(check.labelDelaySeconds) ? check.labelDelaySeconds : 0))",
            lambda one: all(
                one.deadline_seconds > one.warmup_seconds + (check.label_delay_seconds or 0) for check in one.checks
            ),
        ),
        Rule(
            "dispersion must be from 1 to 1000: by what counts are divided before they are evidence",
            f"!has(self.dispersion) || !self.dispersion.matches('^{DECIMAL}$') ||"
            " (double(self.dispersion) >= 1.0 && double(self.dispersion) <= 1000.0)",
            lambda one: one.dispersion is None or 1 <= float(one.dispersion) <= MOST_DISPERSION,
        ),
    )

    interval_seconds: Annotated[Integer, Field(ge=1, le=3600)] = 15
    """Seconds between looks. Default 15."""
    false_rollback: Probability = "0.01"
    """Chance that the whole rollout rolls back a candidate that is not worse, over all looks and checks. Default 0.01."""
    false_promotion: Probability = "0.05"
    """Chance of promoting a candidate that is worse by `margin` or more throughout the last weight step. Default 0.05."""
    warmup_seconds: Seconds = 60
    """After the candidate's first request, nothing is counted for so long. Default 60 s."""
    dispersion: Decimal | None = None
    """How many requests say as much as one that is independent: 1 or more. Default: measured on stable's own pods over the hour before; 1.5 where that shows too little."""
    rule: DecisionRule = DecisionRule.BOOSTED
    """Boosted: betting scores, valid whatever the weights do. Spending: "rolls back at so many bad requests", for weights that react to nothing. Default Boosted."""
    gate: Gate = Gate.EVIDENCE
    """What leaving a step asks for: Evidence (less than half of the harm evidence), Pass, or Time. Default Evidence."""
    on_no_data: NoDataPolicy = NoDataPolicy.HOLD
    """What to do when a required check cannot be measured in five looks. Default Hold."""
    deadline_seconds: Annotated[Integer, Field(ge=10, le=2_592_000)] = 3600
    """After so long without a decision, do as onDeadline says. Default 3600 s."""
    on_deadline: NoDataPolicy = NoDataPolicy.HOLD
    """Hold or Rollback when the deadline is over. Default Hold."""
    checks: Checks
    """The checks, named; promotion needs Pass from every required one."""


class Rollback(Model):
    """What happens after a rollback."""

    quarantine: Flag = True
    """Refuse a revision that failed when it is applied again. Default true."""


class ModelDeploymentSpec(Model):
    """What the user wants."""

    rules = (
        Rule(
            "analysis.rule Spending needs weights that do not react to the evidence: give one weight step, or analysis.gate Time",
            "!has(self.analysis.rule) || self.analysis.rule != 'Spending' ||"
            " (has(self.analysis.gate) && self.analysis.gate == 'Time') || !has(self.strategy.canary) ||"
            " self.strategy.canary.steps.filter(step, has(step.weight)).size() <= 1",
            lambda one: (
                one.analysis.rule is not DecisionRule.SPENDING
                or one.analysis.gate is Gate.TIME
                or one.strategy.canary is None
                or len(one.strategy.canary.weights) <= 1
            ),
        ),
    )

    replicas: Annotated[Integer, Field(ge=1, le=1000)] = 1
    """Pods of the stable revision. Default 1."""
    model: ModelIdentity
    """Which model; a change is a new revision."""
    template: Annotated[Manifest, PodTemplate()]
    """PodTemplateSpec, kept as written; a change is a new revision."""
    serving: Serving = Serving()
    """How the containers serve."""
    traffic: Traffic = Traffic(router=Router())
    """How requests reach the revisions."""
    strategy: Strategy
    """How a new revision is released."""
    analysis: Analysis
    """How the candidate is judged."""
    rollback: Rollback = Rollback()
    """What happens after a rollback."""
    intent: Intent = Intent()
    """What a person asks of the rollout; no part of the revision."""
    revision_history_limit: Annotated[Integer, Field(ge=1, le=100)] = 10
    """How many old revisions are kept as ControllerRevisions. Default 10."""


class ModelDeployment(Model):
    """A model that is served, and how its next revision is released."""

    rules = (
        Rule(
            "metadata.name must be at most 52 characters, because the names of its children are longer",
            "size(self.metadata.name) <= 52",
            lambda one: len(one.metadata.get("name", "")) <= LONGEST_NAME,
        ),
        Rule(
            "metadata.name must begin with a letter and have only lower-case letters, digits and dashes,"
            " because Services take it",
            f"self.metadata.name.matches('^{SERVICE_NAME}$')",
            lambda one: re.fullmatch(SERVICE_NAME, one.metadata.get("name", "m")) is not None,
        ),
    )

    metadata: Manifest
    """Standard object metadata."""
    spec: ModelDeploymentSpec
    """What the user wants."""
    status: ModelDeploymentStatus = ModelDeploymentStatus()
    """What is."""
