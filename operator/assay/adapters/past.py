"""What has Prometheus kept of a rollout that is over?"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from assay.adapters.prometheus import PrometheusMetrics
from assay.api.checks import Check
from assay.api.modeldeployment import ModelDeployment
from assay.core import measures
from assay.core.decision import Missing, Series
from assay.core.errors import InvalidSpec
from assay.core.measures import Found
from assay.core.names import METRIC_REVISION
from assay.core.replay import ARMS, Recording
from assay.core.scrapes import Arms, Events


def read(
    metrics: PrometheusMetrics, resource: ModelDeployment, between: tuple[float, float], arms: Arms | None
) -> tuple[Recording, Recording]:
    """Return what Prometheus has kept of a rollout, for the checks of a ModelDeployment, and of the hour before it.

    Args:
        metrics: Where to ask.
        resource: Its name, its namespace and its checks say for what.
        between: From when to when, in seconds since the epoch.
        arms: The revisions that were compared; None where there are two, of which the later one was the candidate.

    Raises:
        InvalidSpec: Prometheus does not answer, has nothing, or has other revisions than two.
    """
    checks, (start, end) = resource.spec.analysis.checks, between
    place = str(resource.metadata.get("namespace", "default")), str(resource.metadata["name"])
    found = {query: metrics.between(query, *place, start, end) for query in measures.queries(checks)}
    every = [one for answer in found.values() if not isinstance(answer, Missing) for one in answer]
    unknown = next((answer.reason for answer in found.values() if isinstance(answer, Missing)), "")
    if unknown:
        raise InvalidSpec(unknown)
    arms = arms or _arms(every)
    began = min((one.samples[0][0] for one in every if one.labels.get(METRIC_REVISION) == arms.candidate), default=end)
    before = {query: metrics.between(query, *place, start, began) for query in measures.queries(checks, history=True)}
    return _of(checks, found, arms), _of(checks, before, arms, history=True)


def _of(checks: Sequence[Check], found: Found, arms: Arms, *, history: bool = False) -> Recording:
    """Return the series of each check, with roles in place of revisions; of other revisions none."""
    names = {arms.stable: ARMS.stable, arms.candidate: ARMS.candidate}
    recording: dict[str, Events] = {}
    for check in checks:
        events = measures.events(check, found, history=history)
        if isinstance(events, Missing):
            raise InvalidSpec(events.reason)
        series = tuple(
            tuple(
                replace(one, labels={**one.labels, METRIC_REVISION: role})
                for one in kind
                if (role := names.get(one.labels.get(METRIC_REVISION, "")))
            )
            for kind in events.series
        )
        recording[check.name] = replace(events, series=series)
    return recording


def _arms(series: Iterable[Series]) -> Arms:
    """Return the two revisions that were seen, the one that appeared first as stable."""
    first: dict[str, float] = {}
    for one in series:
        revision = one.labels.get(METRIC_REVISION, "")
        first[revision] = min(first.get(revision, math.inf), one.samples[0][0])
    if len(first) != 2:  # noqa: PLR2004 - stable and candidate
        seen = ", ".join(sorted(first)) or "no revision"
        raise InvalidSpec(f"Prometheus has counters of {seen} for that time; name two with --stable and --candidate.")
    stable, candidate = sorted(first, key=lambda revision: first[revision])
    if first[stable] == first[candidate]:
        raise InvalidSpec(
            f"{stable} and {candidate} were there from the start; name them with --stable and --candidate."
        )
    return Arms(stable, candidate)
