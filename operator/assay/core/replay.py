"""What would the operator have decided on counters that were recorded?

The same code judges; what is missing are pods, routers and steps: there is one weight, and each recorded time is a look.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TypeAlias

from assay.api.modeldeployment import CheckStatus, ModelDeploymentSpec
from assay.core import canary, checks, scrapes
from assay.core.decision import Missing, Series
from assay.core.hypotheses import Trial, rank_tests
from assay.core.in_step import GONE
from assay.core.names import METRIC_REVISION
from assay.core.scrapes import Arms, Events, Readings
from assay.core.sentences import sentence

ARMS = Arms("stable", "candidate")
JUST = 1e-3  # seconds; far less than between two scrapes
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Recording: TypeAlias = Mapping[str, Events]
"""Name of a check -> its recorded series, of which each has the labels `assay_revision` (an arm's name) and `pod`."""

Target: TypeAlias = tuple[str, ...]
"""What was scraped at once: pod, instance and job."""


class Decision(StrEnum):
    """How a recorded rollout ends."""

    ROLLBACK = "Rollback"  # a required check failed, or has no data where onNoData is Rollback
    PROMOTE = "Promote"  # every required check passed
    UNDECIDED = "Undecided"  # the recording ends before


@dataclass(frozen=True, slots=True)
class Judged:
    """One look."""

    time: float
    """Seconds, by the recording's clock."""
    checks: tuple[CheckStatus, ...]
    evidence: tuple[tuple[float, float], ...]
    """For each check the evidence of harm and of safety, as shares of what decides: from 0 to 1."""
    decision: Decision
    check: str
    """The check that decided; empty where none did."""
    reason: str
    """Why it was decided so, or what keeps it undecided: a sentence."""


def replay(
    spec: ModelDeploymentSpec, recording: Recording, history: Recording | None = None, every: float = 0.0
) -> Iterator[Judged]:
    """Judge a recording look by look, until something is decided.

    The trial begins with the last time before the candidate appears, or with the first of all: what the counters say
    then is what the next look subtracts. What was recorded before is the history from which the dispersion is measured.

    Args:
        spec: What the operator would be given; steps and the deadline play no part.
        recording: For each check in spec, its series.
        history: The same of the hour before; None: what was recorded before the trial.
        every: Seconds between two looks, the last of which is at the last recorded time; 0: each recorded time is one.

    Yields:
        The looks; the last one carries the decision. None where nothing was recorded.
    """
    tapes = {check.name: _Tape(recording[check.name]) for check in spec.analysis.checks}
    earlier = tapes if history is None else {name: _Tape(events) for name, events in history.items()}
    times = sorted({time for tape in tapes.values() for time in tape.times})
    if not times:
        return
    first = min(tape.first_of_candidate for tape in tapes.values())
    begin = max((time for time in times if time < first < math.inf), default=times[0])
    request = max(begin, min(tape.first_event for tape in tapes.values()))
    looks = times[times.index(begin) :]
    if every:
        looks = [*(begin + number * every for number in range(math.ceil((times[-1] - begin) / every))), times[-1]]
    state: Sequence[CheckStatus] = ()
    last = begin
    for time in looks:
        trial = _trial(spec, begin, request, time)
        state = [
            checks.judge(
                check, status, tapes[check.name].at(last, time), partial(earlier[check.name].before, begin), trial
            )
            for check, status in zip(spec.analysis.checks, checks.carried(state, trial), strict=True)
        ]
        judged = _decided(spec, trial, time, state)
        yield judged
        last = time
        if judged.decision is not Decision.UNDECIDED:
            return


def _trial(spec: ModelDeploymentSpec, begin: float, request: float, time: float) -> Trial:
    floor, waiting = begin - JUST, ""  # the samples of the beginning are the first to be subtracted
    if spec.analysis.warmup_seconds and time >= request:
        floor, waiting = request + spec.analysis.warmup_seconds, "The candidate is warming up."
    return Trial(ARMS, spec.analysis, EPOCH + timedelta(seconds=time), floor, waiting, tests=rank_tests(spec))


def _decided(spec: ModelDeploymentSpec, trial: Trial, time: float, state: Sequence[CheckStatus]) -> Judged:
    shares = tuple((checks.harm_share(one, trial.alpha), checks.safety_share(one, trial.beta)) for one in state)
    failure = canary.failure(spec, state) or canary.ignorance(spec, state)
    held = canary.unpassed(spec, state)
    decision, check, reason = Decision.PROMOTE, "", "Every required check passed."
    if failure is not None:
        decision, (check, reason) = Decision.ROLLBACK, failure
    elif held:
        decision, reason = Decision.UNDECIDED, sentence(held)
    return Judged(time, tuple(state), shares, decision, check, reason)


class _Tape:
    """The series of one check, of which each look sees the newest samples."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._kinds = [[_Track(one) for one in kind] for kind in events.series]
        tracks = [track for kind in self._kinds for track in kind]
        self.times = {time for track in tracks for time in track.places}
        self._times: dict[Target, list[float]] = {}
        for target in {track.target for track in tracks}:
            mine = [track for track in tracks if track.target == target]
            self._times[target] = sorted({time for track in mine for time in track.places})
        self.first_of_candidate = min(
            (min(one.places) for one in tracks if one.of_candidate and one.places), default=math.inf
        )
        self.first_event = min(
            (
                time
                for place in events.kinds.events
                for one in self._kinds[place]
                if one.of_candidate
                for time, value in one.series.samples
                if value > 0
            ),
            default=math.inf,
        )

    def at(self, last: float, time: float) -> Readings | Missing:
        """Return what a look sees: each target's samples since the last look, and those before, from which they are counted."""
        found = self._read(lambda times: times[max(0, bisect_right(times, last) - GONE) : bisect_right(times, time)])
        return found or Missing("nothing was recorded so far")

    def before(self, begin: float) -> Readings | Missing:
        """Return the history before the trial; none where it makes no sense."""
        found = self._read(lambda times: times[: bisect_right(times, begin)])
        return {} if isinstance(found, Missing) else found

    def _read(self, part: Callable[[list[float]], list[float]]) -> Readings | Missing:
        chosen = {target: part(times) for target, times in self._times.items()}
        series = tuple(tuple(track.at(chosen[track.target]) for track in kind) for kind in self._kinds)
        return scrapes.read(replace(self._events, series=series), ARMS)


class _Track:
    """One series, to be read at chosen times."""

    def __init__(self, series: Series) -> None:
        self.series = series
        self.target: Target = tuple(series.labels.get(label, "") for label in ("pod", "instance", "job"))
        self.of_candidate = series.labels.get(METRIC_REVISION) == ARMS.candidate
        self.places = {time: place for place, (time, _) in enumerate(series.samples)}

    def at(self, times: Sequence[float]) -> Series:
        """Return its samples at these times, as far as there are any."""
        return self.series.at([self.places[time] for time in times if time in self.places])
