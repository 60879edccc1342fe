"""What must be looked at to release a model, and what does it show?"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil

from pydantic import ValidationError

from assay.api.base import Manifest
from assay.api.modeldeployment import CandidateStatus, ModelDeployment, ModelDeploymentStatus, Stage
from assay.core import dispersion, measures, pods, revisions
from assay.core.decision import Listing, Needs, Query, Seen
from assay.core.names import (
    ACKS_CONFIG_MAP,
    COMPONENT_LABEL,
    CONFIG_MAP,
    DEPLOYMENT_LABEL,
    REVISION_LABEL,
    SPLIT_KEY,
)
from assay.core.references import references
from assay.core.revisions import Recorded
from assay.core.split import Split
from assay.core.times import parsed, since

JUDGED = frozenset({Stage.PREPARING, Stage.ANALYSING})  # stages in which checks are looked at
FAST = JUDGED | {Stage.PROMOTING, Stage.ROLLING_BACK}  # stages in which rounds follow each other by the second
COMING = frozenset({Stage.INITIALISING, Stage.PREPARING, Stage.PROMOTING})  # stages in which pods are waited for
GENERATION = re.compile(r"[0-9]{1,12}", re.ASCII)
MOST_REVISIONS = 2**53  # a number beyond it was written by a hand
SLACK_SECONDS = 0.2  # a round that is due comes a little early or late


def needs(resource: ModelDeployment, now: datetime) -> Needs:
    """Return what must be looked at to decide."""
    name = resource.metadata["name"]
    return Needs(
        objects=references(resource.spec.template),
        listings=(
            _listing("apps/v1", "Deployment", name),
            _listing("v1", "Service", name),
            _listing("v1", "ConfigMap", name),
            _listing(revisions.API_VERSION, revisions.KIND, name),
            _listing("v1", "Pod", name, (COMPONENT_LABEL, "router")),
            *_tried(resource, now),
        ),
        queries=_queries(resource, now),
    )


def _listing(api_version: str, kind: str, name: str, more: tuple[str, str] | None = None) -> Listing:
    wanted = (DEPLOYMENT_LABEL, name)
    return Listing(api_version, kind, (wanted,) if more is None else (wanted, more))


def _tried(resource: ModelDeployment, now: datetime) -> tuple[Listing, ...]:
    """Return the listing of the pods that are waited for or judged; of all pods only these have something to tell."""
    status = resource.status
    if status.stage not in COMING and not _look_is_due(resource, now):
        return ()
    revision = status.candidate.revision if status.candidate else revisions.revision_of(resource.spec)
    return (_listing("v1", "Pod", resource.metadata["name"], (REVISION_LABEL, revision)),)


def _queries(resource: ModelDeployment, now: datetime) -> tuple[Query, ...]:
    if not _look_is_due(resource, now):
        return ()
    analysis = resource.spec.analysis
    before = measures.queries(dispersion.unmeasured(analysis, resource.status.checks), history=True)
    return (*measures.queries(analysis.checks), *before)


def _look_is_due(resource: ModelDeployment, now: datetime) -> bool:
    """Return whether the checks are to be looked at; more looks would be sound, but would be missed where scrapes are rarer."""
    status = resource.status
    if status.stage not in JUDGED or status.candidate is None:
        return False
    last = status.candidate.look_time
    return last is None or since(last, now) >= resource.spec.analysis.interval_seconds - SLACK_SECONDS


@dataclass(frozen=True, slots=True)
class World:
    """The resource and what was seen of its world."""

    resource: ModelDeployment
    seen: Seen
    revision: str
    """The revision that spec asks for."""
    recorded: Mapping[str, Recorded]
    """Revisions that are kept, and the one in spec."""
    deployments: Mapping[str, Manifest]
    """Revision -> its Deployment."""
    services: Mapping[str, Manifest]
    """Revision -> its headless Service."""
    kept: frozenset[str]
    """Revisions that have a ControllerRevision."""
    split: Split | None
    """As read back from the ConfigMap; None where there is none that can be read."""
    routers: int
    """Router pods that are ready."""
    highest_ack: int
    """Highest generation that any router ever acknowledged."""
    behind: tuple[str, ...]
    """Router pods that may send requests, or may again, and have not acknowledged the split that is written."""
    acked_time: datetime | None
    """Since when every such router is known to run the split that is written; None while one does not."""

    @property
    def now(self) -> datetime:
        """The moment of the look."""
        return self.seen.now

    @property
    def status(self) -> ModelDeploymentStatus:
        """The status before this round."""
        return self.resource.status

    @property
    def candidate(self) -> CandidateStatus | None:
        """The revision on trial."""
        return self.status.candidate

    @property
    def replicas(self) -> int:
        """Pods that carry all traffic."""
        return self.resource.spec.replicas

    @property
    def weights(self) -> Mapping[str, int]:
        """Revision -> percent, as read back."""
        return {} if self.split is None else {one.revision: one.weight for one in self.split.backends}

    @property
    def generation(self) -> int:
        """Generation of the split that is written; 0 where there is none."""
        return 0 if self.split is None else self.split.generation

    def weight(self, revision: str) -> int:
        """Return the percent of traffic that a revision has."""
        return self.weights.get(revision, 0)

    def ready(self, revision: str) -> int:
        """Return how many pods of a revision are ready."""
        status = self.deployments.get(revision, {}).get("status") or {}
        return int(status.get("readyReplicas") or 0)

    def late(self, revision: str) -> str:
        """Return what Kubernetes says of a Deployment that it has given up waiting for, or an empty string."""
        status = self.deployments.get(revision, {}).get("status") or {}
        for condition in status.get("conditions") or []:
            failed = condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"
            late = condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
            if failed or late:
                return str(condition.get("message") or condition.get("reason"))
        return ""

    def stuck(self, revision: str) -> str:
        """Return what Kubernetes says of pods that do not come up, or an empty string."""
        return next((said for pod in self._pods(revision) if (said := pods.waits_for(pod))), "") or self.late(revision)

    def ends(self) -> str:
        """Return which container of the candidate keeps ending, or an empty string."""
        if self.candidate is None:
            return ""
        revision = self.candidate.revision
        return pods.keeps_ending(revision, self._pods(revision), parsed(self.candidate.start_time))

    def _pods(self, revision: str) -> list[Manifest]:
        return [one for one in _all(self.seen, "Pod") if _label(one, REVISION_LABEL) == revision]


def pods_for(replicas: int, weight: int) -> int:
    """Return how many pods carry a weight: its share of `replicas`, rounded up, and at least one."""
    return max(1, ceil(replicas * weight / 100))


def look_at(resource: ModelDeployment, seen: Seen) -> World:
    """Return the world that was seen."""
    name = str(resource.metadata["name"])
    seen = _ours(seen, str(resource.metadata.get("uid", "")))
    kept = _recorded(seen)
    revision = revisions.revision_of(resource.spec)
    number = 1 + max((one.number for one in kept.values() if one.number < MOST_REVISIONS), default=0)
    split = _split(_found(seen, "ConfigMap", CONFIG_MAP.format(name=name)))
    routers, acks = _routers(seen), _acks(seen, name)
    ready = [one for one in routers if _is_ready(one)]
    behind = _behind(split, routers, acks)
    return World(
        resource=resource,
        seen=seen,
        revision=revision,
        recorded={revision: revisions.record(resource.spec, number), **kept},
        kept=frozenset(kept),
        deployments=_by_revision(seen, "Deployment"),
        services=_by_revision(seen, "Service"),
        split=split,
        routers=len(ready),
        highest_ack=max(acks.values(), default=0),
        behind=behind,
        acked_time=None if behind else _acked_time(resource.status, split, ready, seen.now),
    )


def _ours(seen: Seen, uid: str) -> Seen:
    """Return what was seen without children of an earlier ModelDeployment of this name, which are being collected."""
    listings = {
        listing: tuple(one for one in found if listing.kind == "Pod" or _owner(one) in (None, uid))
        for listing, found in seen.listings.items()
    }
    return replace(seen, listings=listings)


def _owner(manifest: Manifest) -> str | None:
    owners = manifest["metadata"].get("ownerReferences") or []
    return next((str(one.get("uid")) for one in owners if one.get("controller")), None)


def _all(seen: Seen, kind: str) -> list[Manifest]:
    return [one for listing, found in seen.listings.items() if listing.kind == kind for one in found]


def _found(seen: Seen, kind: str, name: str) -> Manifest | None:
    return next((one for one in _all(seen, kind) if one["metadata"]["name"] == name), None)


def _by_revision(seen: Seen, kind: str) -> dict[str, Manifest]:
    labelled = ((_label(one, REVISION_LABEL), one) for one in _all(seen, kind))
    return {revision: one for revision, one in labelled if revision is not None}


def _label(manifest: Manifest, label: str) -> str | None:
    value = (manifest["metadata"].get("labels") or {}).get(label)
    return value if isinstance(value, str) else None


def _recorded(seen: Seen) -> dict[str, Recorded]:
    found = (revisions.read(one) for one in _all(seen, revisions.KIND))
    return {one.revision: one for one in found if one is not None}


def _split(manifest: Manifest | None) -> Split | None:
    text = ((manifest or {}).get("data") or {}).get(SPLIT_KEY)
    if not isinstance(text, str):
        return None
    try:
        return Split.model_validate_json(text)
    except ValidationError:
        # Somebody spoilt it. The routers keep their last good one; the next generation replaces it.
        return None


def _routers(seen: Seen) -> list[Manifest]:
    """Return the router pods that have not ended; one that is leaving still sends requests until it has."""
    pods = (one for one in _all(seen, "Pod") if _label(one, COMPONENT_LABEL) == "router")
    return [one for one in pods if (one.get("status") or {}).get("phase") not in ("Failed", "Succeeded")]


def _is_ready(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _acks(seen: Seen, name: str) -> Mapping[str, int]:
    """Return what each router has acknowledged; what is no number that a generation can be acknowledges nothing."""
    data = (_found(seen, "ConfigMap", ACKS_CONFIG_MAP.format(name=name)) or {}).get("data") or {}
    return {pod: int(text) if GENERATION.fullmatch(text) else 0 for pod, text in data.items()}


def _behind(split: Split | None, routers: list[Manifest], acks: Mapping[str, int]) -> tuple[str, ...]:
    """Return the routers that are known not to run the split, or not known to.

    Readiness comes and goes, and a router that is not ready may still answer callers that keep a connection: whoever has
    ever acknowledged counts, until it has drained, which takes its entry away, or its pod is gone. One that never did
    and is not ready has sent nothing.
    """
    if split is None:
        return ()
    counted = {one["metadata"]["name"] for one in routers if _is_ready(one) or one["metadata"]["name"] in acks}
    return tuple(sorted(name for name in counted if acks.get(name, 0) < split.generation))


def _acked_time(
    status: ModelDeploymentStatus, split: Split | None, ready: list[Manifest], now: datetime
) -> datetime | None:
    """Return since when the split in force is acknowledged, given that no router is behind.

    Without any router that is ready nothing new is known; what was known remains so.
    """
    if split is None:
        return None
    if status.split_generation == split.generation and status.split_acked_time is not None:
        return parsed(status.split_acked_time)
    return now if ready else None
