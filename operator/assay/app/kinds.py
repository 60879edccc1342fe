"""Which kinds does the loop look after, and what means what for each?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from assay.api.base import GROUP, VERSION, Manifest
from assay.api.modeldeployment import ModelDeployment, ModelDeploymentStatus
from assay.app.settings import Settings
from assay.core import rollout
from assay.core.decision import Decision, Needs, Seen
from assay.core.world import FAST


@dataclass(frozen=True, slots=True)
class Key:
    """An object that is looked after."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of resource: its name in the API, its model, and the pure functions that decide about it."""

    api_version: str
    name: str
    plural: str
    model: type[ModelDeployment]
    needs: Callable[[ModelDeployment, datetime], Needs]
    decide: Callable[[ModelDeployment, Seen], Decision]
    refused: Callable[[ModelDeploymentStatus, "Refusal"], ModelDeploymentStatus]
    """The status of a resource that cannot be carried out: as it was, and Stalled."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a resource cannot be carried out."""

    reason: str
    message: str
    generation: int
    now: datetime


def urgent(raw: Manifest) -> bool:
    """Return whether an object must not wait behind others that merely serve: it is being deleted, or has a candidate.

    A thousand objects that are new, or new to an operator that has just started, take minutes; a candidate that turns
    bad or is aborted meanwhile must not.
    """
    stage = _at(raw, "status", "stage")
    candidate, spent = _at(raw, "status", "candidate", "revision"), _at(raw, "status", "intent", "abort", "wish")
    abort = _at(raw, "spec", "intent", "abort")
    aborted = isinstance(abort, str) and bool(abort) and abort[:8] == candidate and abort != spent
    return "deletionTimestamp" in raw["metadata"] or (isinstance(stage, str) and stage in FAST) or aborted


def _at(raw: Manifest, *path: str) -> object:
    """Return what stands at a place of an object that nobody has checked yet; None where there is no such place."""
    found: object = raw
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def kinds(settings: Settings) -> Mapping[str, Kind]:
    """Return the kinds that the operator looks after, by name."""
    options = rollout.Options(router_image=settings.router_image)
    kind = Kind(
        api_version=f"{GROUP}/{VERSION}",
        name="ModelDeployment",
        plural="modeldeployments",
        model=ModelDeployment,
        needs=rollout.needs,
        decide=partial(rollout.decide, options=options),
        refused=rollout.refused,
    )
    return {kind.name: kind}
