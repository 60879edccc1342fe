"""The smallest kind that shows everything a round does: it keeps one ConfigMap and says in status what it saw."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from assay.adapters.memory import MemoryCluster, MemoryMetrics
from assay.api.base import Condition, ConditionStatus, Manifest
from assay.api.modeldeployment import ModelDeployment, ModelDeploymentStatus, Stage
from assay.app.kinds import Key, Kind, Refusal
from assay.app.metrics import Instruments
from assay.app.reconcile import World
from assay.core.decision import Decision, Ensure, Needs, Note, Query, Ref, Seen

NOW = datetime(2013, 1, 1, 5, 15, tzinfo=UTC)
COUNTER = Query("requests_total")

Deployment: TypeAlias = Callable[..., Manifest]


def a_deployment(**spec: Any) -> Manifest:
    return {
        "apiVersion": "assay.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "flights", "namespace": "shop"},
        "spec": {
            "model": {"name": "flights", "version": "1"},
            "template": {"spec": {"containers": [{"name": "model", "image": "flights:1"}]}},
            "strategy": {"canary": {"steps": [{"weight": 5}]}},
            "analysis": {"checks": [{"name": "errors", "preset": "error-ratio"}]},
            **spec,
        },
    }


def needs(resource: ModelDeployment, _now: datetime) -> Needs:
    return Needs(objects=(Ref("v1", "ConfigMap", resource.metadata["name"]),), queries=(COUNTER,))


def decide(resource: ModelDeployment, seen: Seen) -> Decision:
    name = resource.metadata["name"]
    child = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": resource.metadata["namespace"],
            "ownerReferences": [
                {"kind": "ModelDeployment", "name": name, "uid": resource.metadata["uid"], "controller": True}
            ],
        },
        "data": {"version": resource.spec.model.version},
    }
    ready = seen.objects[Ref("v1", "ConfigMap", name)] is not None
    stage = Stage.STABLE if ready else Stage.INITIALISING
    status = resource.status.model_copy(
        update={
            "observed_generation": resource.metadata["generation"],
            "stage": stage,
            "conditions": [one for one in resource.status.conditions if one.type != "Stalled"],
        }
    )
    notes = (Note("Normal", str(stage), "It moved."),) if stage != resource.status.stage else ()
    return Decision(status=status, actions=(Ensure(child),), notes=notes, again_in=60.0 if ready else 0.0)


def refused(status: ModelDeploymentStatus, refusal: Refusal) -> ModelDeploymentStatus:
    stalled = Condition(
        type="Stalled",
        status=ConditionStatus.TRUE,
        reason=refusal.reason,
        message=refusal.message,
        observed_generation=refusal.generation,
        last_transition_time=refusal.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return status.model_copy(update={"conditions": [stalled]})


KIND = Kind("assay.dev/v1alpha1", "ModelDeployment", "modeldeployments", ModelDeployment, needs, decide, refused)
KEY = Key("ModelDeployment", "shop", "flights")
RESOURCE = Ref("assay.dev/v1alpha1", "ModelDeployment", "flights")


class Scene:
    """A world in memory, with the words that the tests speak."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster()
        self.metrics = MemoryMetrics()
        self.clock = NOW
        self.world = World(
            kinds={"ModelDeployment": KIND},
            cluster=self.cluster,
            metrics=self.metrics,
            instruments=Instruments(),
            now=lambda: self.clock,
        )

    def with_kind(self, **changes: Any) -> None:
        kind = dataclasses.replace(self.world.kinds["ModelDeployment"], **changes)
        self.world = dataclasses.replace(self.world, kinds={"ModelDeployment": kind})

    @property
    def status(self) -> ModelDeploymentStatus:
        raw = self.cluster.get(RESOURCE, "shop")
        assert raw is not None
        return ModelDeploymentStatus.model_validate(raw.get("status", {}))

    @property
    def stalled(self) -> Condition:
        return next(one for one in self.status.conditions if one.type == "Stalled")

    def writes(self) -> list[tuple[str, str]]:
        return [call for call in self.cluster.calls if call[0] not in {"get", "list"}]
