"""What do the checks of a rollout say after this look?"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from assay.api.modeldeployment import CandidateStatus, CheckStatus, ModelDeploymentStatus
from assay.core import canary, checks, measures, minimum
from assay.core.hypotheses import Trial, rank_tests
from assay.core.plan import candidate_of, stable_of
from assay.core.scrapes import Arms
from assay.core.sentences import LONGEST
from assay.core.times import moment, parsed
from assay.core.world import World, pods_for
from assay.stats.dispersion import ASSUMED

AHEAD_SECONDS = 2.0  # Prometheus' clock may be ahead by so much before it is worth telling
ONE_POD = (
    "The candidate runs on one pod: what is peculiar to that pod or its node counts as the revision's."
    " More replicas, or a wider tolerance, make that less likely."
)


def looked(world: World) -> ModelDeploymentStatus:
    """Return the status with the checks looked at, where the metrics were asked, and with counting begun or ended."""
    status = _counting(world)
    spec, candidate = world.resource.spec, candidate_of(status)
    asked = measures.queries(spec.analysis.checks)
    if not all(query in world.seen.series for query in asked):
        return status
    arms = Arms(stable_of(world), candidate.revision)
    first = candidate.first_request_time
    if first is None and candidate.count_time is not None:
        first = _first_request(world, arms, parsed(candidate.count_time).timestamp())
    candidate = candidate.model_copy(update={"first_request_time": first, "look_time": moment(world.now)})
    trial = _trial(world, candidate, arms)
    before = checks.carried(status.checks, trial)
    after = [
        checks.look(check, state, world.seen.series, trial)
        for check, state in zip(spec.analysis.checks, before, strict=True)
    ]
    counted = max(new.requests - old.requests for new, old in zip(after, before, strict=True))
    requests = {
        "requests": candidate.requests + counted,
        "step_requests": candidate.step_requests + counted,
        "warnings": _warnings(world, candidate, after, trial.lag),
    }
    least = canary.worst(spec, after)
    return status.model_copy(
        update={
            "candidate": candidate.model_copy(update=requests),
            "checks": after,
            "verdict": least.verdict if least else None,
        }
    )


def _first_request(world: World, arms: Arms, since: float) -> str | None:
    found = measures.first_request(
        world.resource.spec.analysis.checks, world.seen.series, arms, since, world.now.timestamp()
    )
    return None if found is None else moment(datetime.fromtimestamp(found, UTC))


def _counting(world: World) -> ModelDeploymentStatus:
    """Return the status with the moment from which samples count.

    There is none while the routers do not agree, nor while stable has no ready pod: beside a stable revision that
    answers nothing every candidate looks well.
    """
    status = world.status
    candidate = candidate_of(status)
    steady = world.acked_time is not None and world.split is not None
    same = steady and world.split is not None and status.split_generation == world.split.generation
    if not steady or world.weight(candidate.revision) == 0 or world.ready(stable_of(world)) == 0:
        time = None
    else:
        time = candidate.count_time if same and candidate.count_time else moment(world.now)
    return status.model_copy(update={"candidate": candidate.model_copy(update={"count_time": time})})


def _trial(world: World, candidate: CandidateStatus, arms: Arms) -> Trial:
    analysis = world.resource.spec.analysis
    floor, waiting = None, "Nothing is counted before every router has the weight."
    if world.ready(stable_of(world)) == 0:
        waiting = "Nothing is counted while stable, with which the candidate is compared, has no ready pod."
    if candidate.count_time is not None:
        floor = parsed(candidate.count_time).timestamp()
    if floor is not None and candidate.first_request_time is not None and analysis.warmup_seconds:
        warm = parsed(candidate.first_request_time) + timedelta(seconds=analysis.warmup_seconds)
        floor, waiting = max(floor, warm.timestamp()), f"The candidate is warming up until {moment(warm)}."
    lag = _lag(world)
    # A clock that is ahead stamps samples with moments that have not come: what it says of an instant, it says later.
    return Trial(
        arms,
        analysis,
        world.now,
        None if floor is None else floor + max(0.0, -lag),
        waiting,
        lag,
        rank_tests(world.resource.spec),
    )


def _lag(world: World) -> float:
    """Return how many seconds old the newest sample is; negative where Prometheus' clock is ahead of ours."""
    answers = [answer for answer in world.seen.series.values() if isinstance(answer, tuple)]
    latest = [one.samples[-1][0] for answer in answers for one in answer if one.samples]
    return world.now.timestamp() - max(latest, default=world.now.timestamp())


def _warnings(world: World, candidate: CandidateStatus, after: Sequence[CheckStatus], lag: float) -> list[str]:
    """Return what people should know who trust the evidence."""
    spec, found = world.resource.spec, []
    if pods_for(world.replicas, canary.weight_at(spec, candidate.step)) == 1:
        found.append(ONE_POD)
    if lag < -AHEAD_SECONDS:
        found.append(f"Prometheus' clock is {-lag:.0f} s ahead of the operator's; samples count so much later.")
    told = minimum.mismatch(spec, candidate, world.weight(candidate.revision), after)
    if told:
        doubt = "callers may keep connections or choose revisions, so the revisions' requests may differ."
        found.append(f"{told[0].upper()}{told[1:]}: {doubt}")
    assumed = [one.name for one in after if one.dispersion == ASSUMED and spec.analysis.dispersion is None]
    if assumed:
        told = "the hour before shows too little to tell whether requests fail together"
        found.append(
            f"{', '.join(assumed)}: {told}; counts are divided by {ASSUMED}. analysis.dispersion sets another."
        )
    return [one[:LONGEST] for one in found]
