"""ModelDeploymentStatus: what is so, what was decided, and what the next look continues from."""

# ruff: noqa: RUF012 - pydantic copies a default, so no two values share a list

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from assay.api.base import Conditions, Count, Integer, Model, Percent, Revision, Text, Time, Verdict
from assay.api.intent import IntentEntry, IntentStatus
from assay.api.rules import NamedList

Place = Annotated[Integer, Field(ge=-(2**53), le=2**53)]
Integers = Annotated[list[Count], Field(max_length=8)]
Buckets = Annotated[list[Count], Field(max_length=200)]
Numbers = Annotated[list[float], Field(max_length=13)]

MOST_LOOKS = 60
"""That are kept for audit."""


class Stage(StrEnum):
    """Where the machine stands; for people and the machine, not a contract (conditions are)."""

    INITIALISING = "Initialising"  # the first revision comes up; there is nothing to compare it with
    STABLE = "Stable"  # one revision serves, and it is the one in spec
    PREPARING = "Preparing"  # a candidate's pods come up, or grow for the next weight
    ANALYSING = "Analysing"  # the candidate has traffic and is judged
    PROMOTING = "Promoting"  # recorded: the candidate takes all traffic
    ROLLING_BACK = "RollingBack"  # recorded: stable takes all traffic back
    ROLLED_BACK = "RolledBack"  # stable serves; the revision in spec failed


class Outcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"


class StableStatus(Model):
    """The revision that serves."""

    revision: Revision
    """First 8 hex digits of the revision's hash."""
    digest: Text = ""
    """Digest of the model artefact, where spec gives one."""
    weight: Percent
    """Percent of traffic in the split that the routers were given, as read back."""
    ready: Count
    """Ready pods."""


class CandidateStatus(Model):
    """The revision on trial."""

    revision: Revision
    """First 8 hex digits of the revision's hash."""
    digest: Text = ""
    """Digest of the model artefact, where spec gives one."""
    weight: Percent
    """Percent of traffic in the split that the routers were given, as read back."""
    ready: Count
    """Ready pods."""
    step: Count = 0
    """Index of the step, from 0."""
    step_text: Annotated[str, Field(max_length=8)] = ""
    """The step as people count, from 1, and how many there are: `2/3`."""
    step_generation: Count = 0
    """Generation of the split under which the step began; 0 until then."""
    start_time: Time
    """When the rollout began."""
    step_start_time: Time | None = None
    """When the routers had acknowledged the step's weight; absent until then."""
    first_request_time: Time | None = None
    """When the candidate's first request was seen; warm-up counts from here."""
    step_requests: Count = 0
    """Requests that the candidate answered in this step."""
    requests: Count = 0
    """Requests that the candidate answered since the rollout began."""
    outcome: Outcome | None = None
    """What this rollout will be recorded as; set with Promoting and RollingBack."""
    look_time: Time | None = None
    """When the checks were last looked at, whether or not anything could be measured."""
    warnings: Annotated[list[Text], Field(max_length=8)] = []
    """What people should know who trust the evidence: one pod, a clock that is ahead, a dispersion that is assumed."""
    paused_seconds: float = 0.0
    """How long spec.intent.paused has held this rollout, pauses that ended; the deadline does not count them."""
    count_time: Time | None = None
    """Samples taken before this count nothing: the routers had not acknowledged the present weight."""


class WalkState(Model):
    """An error-spending test between two looks."""

    count: Count
    """Bad requests of the watched revision: the candidate's for harm, the stable one's for safety."""
    bad: Count
    """Bad requests of both."""
    bound: Place
    """The least `count` at which the last look would have decided."""
    information: Annotated[float, Field(ge=0)]
    """Sum of the variances of `count` at the edge of the null hypothesis."""
    spent: Annotated[float, Field(ge=0, le=1)]
    """Chance of having crossed a bound by now, at the edge of the null hypothesis."""
    width: Annotated[Integer, Field(ge=1, le=2**53)]
    """Counts per cell of `law`."""
    place: Place
    """The cell of the observed count."""
    lowest: Place
    """The first cell of `law`."""
    law: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1, max_length=256)]
    """Chance of each cell together with not having crossed any bound."""


class ProcessState(Model):
    """The evidence of one rule between two looks."""

    score: float = 1.0
    """Betting score, which decides at the threshold; with `walk`, one over the chance of so many bad requests."""
    logs: Annotated[list[float], Field(max_length=8)] = []
    """Log likelihood ratio of each alternative; empty with `rule: Spending`."""
    sums: Annotated[list[float], Field(max_length=16)] = []
    """Of a mean, ratio or gauge: sums over looks, in the order of operator/assay/stats/means.py."""
    pace: float = 0.0
    """Of a mean, ratio or gauge: the variance at which the bet has its scale; 0 until something may be said."""
    walk: WalkState | None = None
    """With `rule: Spending`: what was counted, and the law of what could have been."""


class CounterState(Model):
    """Cumulative counters of one scrape target at the last look, so that the next look can subtract."""

    pod: Annotated[str, Field(max_length=253)]
    """Name of the exporting pod."""
    target: Annotated[str, Field(max_length=8)] = ""
    """Digest of the labels instance and job, which tell the scrape targets of one pod apart; empty without them."""
    time: float
    """Time of the sample, in seconds since the epoch, by Prometheus' clock."""
    stable: Buckets
    """[bad, total] of the stable revision; of a histogram the events up to each bound, and all."""
    candidate: Buckets
    """The same of the candidate."""
    unlabelled: Integers = []
    """[stable, candidate] predictions without a label in time; empty where the check has no labels."""
    sums: Annotated[list[float], Field(max_length=16)] = []
    """Of a mean, ratio or gauge: sums of values and of squares of the stable revision, then the candidate's."""
    series: Count = 0
    """Of how many series these are the sums."""


class RanksState(Model):
    """A rank test between two looks, begun anew at each weight step."""

    excess: float = 0
    """Sum over looks of the candidate's rank scores beyond their expectation."""
    information: float = 0
    """Sum of their variances."""
    third: float = 0
    """Sum of their third cumulants."""
    scale: float = 0
    """Information at which half of the level's square has been spent; 0 before the first look."""
    spent: float = 0
    """Chance of having crossed a bound by now, were the candidate not slower."""
    tested: float = 0
    """Information at the last look at which a bound was set."""
    lowest: float = 0
    """Where the density ends below."""
    highest: float = 0
    """The bound of that look."""
    density: Annotated[list[float], Field(max_length=100)] = []
    """Of the excess at that look, with no bound crossed, at fixed nodes."""
    refuted: bool = False
    """Whether a bound was crossed: the candidate is slower."""


class QuantileState(Model):
    """What a histogram has told since the weight step began."""

    bounds: Annotated[list[float], Field(max_length=199)]
    """Finite bounds of the histogram."""
    bound: float
    """The one that is nearest to the quantile, by stable's past or the first look: what lies beyond it is slow."""
    step: Annotated[Integer, Field(ge=0, le=100)] = 0
    """The highest step that has begun; with each that is higher the rank test begins anew."""
    candidate: Buckets = []
    """The candidate's events in each bucket, and beyond the last bound."""
    stable: Buckets = []
    """The stable revision's."""
    harm: Annotated[float, Field(ge=0, le=1)] = 0
    """The ranks' evidence of harm, as a share of what rolls back."""
    ranks: RanksState = RanksState()
    """Whether the candidate is slower anywhere by more than `tolerance`."""


class CheckStatus(Model):
    """A check's verdict, its evidence, and the state that the next look continues from."""

    name: Annotated[str, Field(min_length=1, max_length=52)]
    """Name of the check."""
    verdict: Verdict
    """Pass, Fail, Undecided or NoData."""
    definition: Annotated[str, Field(max_length=8)] = ""
    """Digest of the check that the evidence is about; a changed check begins anew."""
    reason: Text = ""
    """The evidence in one sentence."""
    estimate_stable: Text = ""
    """Rate of the stable revision in this rollout; with `quantile`, that quantile at this weight step and its time-uniform 95 % interval; with `mean`, `ratio` or `gauge`, its value."""
    estimate_candidate: Text = ""
    """The same of the candidate."""
    effect: Text = ""
    """Odds ratio of the bad outcome, candidate to stable (Mantel-Haenszel over the looks); with `quantile`, the ratio of the quantiles; with `mean`, `ratio` or `gauge`, the candidate's over the stable revision's."""
    interval: Text = ""
    """Time-uniform 95 % interval of the effect; with `mean`, `ratio` or `gauge`, an asymptotic one."""
    harm_evidence: Text = ""
    """Evidence of harm, of the evidence that rolls back: `5.1 of 100`."""
    safety_evidence: Text = ""
    """Evidence of safety, of the evidence that promotes: `12 of 20`."""
    requests: Count = 0
    """Candidate requests that this check has counted; with labels, its labelled predictions."""
    step_requests: Count = 0
    """Those of the present step; without any, no next weight is given."""
    measured_looks: Count = 0
    """Looks in a row, of the present step, in which something was counted; promotion asks for three."""
    labels: Integers = []
    """[candidate labelled, candidate unlabelled, stable labelled, stable unlabelled] predictions of the present step."""
    odds: Annotated[list[float], Field(max_length=2)] = []
    """[tolerance, margin] as odds ratios; `absolute` is converted at the stable revision's rate up to the last look."""
    dispersion: Annotated[float, Field(ge=0, le=1000)] = 0
    """What counts are divided by before they are evidence, because requests fail together; 0 until it was measured."""
    before: Integers = []
    """[bad, total, seconds] of the stable revision in the hour before the rollout; empty where it told nothing."""
    missed_looks: Count = 0
    """Looks in a row in which nothing could be measured."""
    last_look_time: Time | None = None
    """When the last look counted something."""
    totals: Integers = []
    """[candidate total, candidate bad, stable total, stable bad] counted so far."""
    looks: Annotated[list[Integers], Field(max_length=MOST_LOOKS)] = []
    """The last looks that counted something, for audit: [second of the epoch, candidate total, candidate bad, stable total, stable bad]."""
    value_looks: Annotated[list[Numbers], Field(max_length=MOST_LOOKS)] = []
    """The same of a mean or ratio: [second of the epoch, then what the check's counters grew by, in the order of its fields, of the candidate and then of stable]; of a gauge [second, pods, their average, stable's pods, theirs]."""
    harm: ProcessState = ProcessState()
    """The process for harm, since the rollout began."""
    harm_beyond: ProcessState = ProcessState()
    """The process for a rate above `negligible`, since the rollout began; with `negligible`, harm needs both."""
    safety: ProcessState = ProcessState()
    """The process for safety, begun anew at the last weight step."""
    negligible: ProcessState = ProcessState()
    """The process for `negligible`, begun anew at the last weight step."""
    pooled: Annotated[list[float], Field(max_length=4)] = []
    """Mantel-Haenszel sums for the effect; of a ratio, numerators and denominators of the candidate, then of the stable revision."""
    lattice: Annotated[list[float], Field(max_length=64)] = []
    """Log likelihoods on a fixed lattice of odds ratios, for the interval."""
    quantile: QuantileState | None = None
    """With `quantile`: the histograms of this weight step, and the rank test on them."""
    counters: Annotated[list[CounterState], Field(max_length=256)] = []
    """Counters of the last look."""


class HistoryEntry(Model):
    """A rollout that ended."""

    revision: Revision
    """The candidate."""
    outcome: Outcome
    """Promoted, RolledBack or Superseded."""
    start_time: Time
    """When it began."""
    end_time: Time
    """When it was decided."""
    requests: Count = 0
    """Requests that the candidate answered until then."""
    reason: Text = ""
    """Why, in one sentence."""
    worst_check: Annotated[str, Field(max_length=52)] = ""
    """The check that decided."""


class Quarantined(Model):
    """A revision that failed and is refused."""

    revision: Revision
    """The revision."""
    reason: Text = ""
    """Why it failed."""
    time: Time
    """When it failed."""


class ModelDeploymentStatus(Model):
    """What is."""

    observed_generation: Count = 0
    """Generation of the spec that this status is about."""
    state_version: Annotated[Integer, Field(ge=1, le=1000)] = 1
    """Version of the persisted machine state, for migrations."""
    stage: Stage | None = None
    """Where the machine stands."""
    conditions: Conditions = []
    """Ready, Progressing, Reconciling, Stalled."""
    stable: StableStatus | None = None
    """The revision that serves."""
    candidate: CandidateStatus | None = None
    """The revision on trial."""
    split_generation: Count = 0
    """Generation of the split that was last asked of the routers."""
    split_acked_time: Time | None = None
    """Since when every router is known to run `splitGeneration`; absent while one is not."""
    verdict: Verdict | None = None
    """The worst verdict of the required checks."""
    decision: Text = ""
    """Why the current direction was taken; set with Promoting and RollingBack."""
    worst_check: Annotated[str, Field(max_length=52)] = ""
    """The check that decided."""
    decision_time: Time | None = None
    """When the current direction was taken."""
    checks: Annotated[list[CheckStatus], Field(max_length=16), NamedList("name")] = []
    """The checks' verdicts and evidence."""
    history: Annotated[list[HistoryEntry], Field(max_length=10)] = []
    """The last rollouts, newest first."""
    quarantined: Annotated[list[Quarantined], Field(max_length=20)] = []
    """Revisions that failed and are refused."""
    intent: IntentStatus = IntentStatus()
    """What became of spec.intent."""
    intent_history: Annotated[list[IntentEntry], Field(max_length=10)] = []
    """The last intents that acted, newest first."""
