"""Moments of a rollout as a release left them: `python tests/core/recorded.py 0.2.0` records those of this checkout.

A record holds what outlives an operator: the spec, the status, the objects that it wrote, and how far its routers have
counted. Records are never edited: they are what users have.
"""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from assay.api import crd
from assay.api.modeldeployment import Stage
from core.simulation import NAME, Cluster, a_spec

DATA = Path(__file__).parents[1] / "data"
FIRST = DATA / "release-0.1.0"
KEPT = {"ConfigMap", "ControllerRevision", "Deployment", "Service"}
ERRORS = {"1": 0.01, "2": 0.01, "5": 0.04}
"""Model version -> rate of its errors; 1 serves, 2 is as good, 5 is worse."""

SPEC: dict[str, Any] = {
    "traffic": {"router": {"replicas": 2}, "stickyHeader": "x-user-id"},
    "strategy__canary__steps": [{"weight": 10, "minSeconds": 30}, {"weight": 50, "minSeconds": 10}],
    "analysis__checks": [
        {"name": "errors", "preset": "error-ratio", "negligible": "0.001"},
        {"name": "ceiling", "preset": "error-ratio", "limit": "0.2"},
    ],
}
"""So that every field of a check's state is in use."""

MOMENTS: dict[str, tuple[str, Callable[[Cluster], bool]]] = {
    "initialising": ("1", lambda cluster: cluster.state().stage is Stage.INITIALISING),
    "stable": ("1", lambda cluster: cluster.state().stage is Stage.STABLE),
    "preparing": ("2", lambda cluster: cluster.state().stage is Stage.PREPARING),
    "analysing-step-1": ("2", lambda cluster: looked(cluster, step=0)),
    "analysing-step-2": ("2", lambda cluster: looked(cluster, step=1)),
    "analysing-worse": ("5", lambda cluster: looked(cluster, step=0)),
    "promoting": ("2", lambda cluster: cluster.state().stage is Stage.PROMOTING),
    "rolling-back": ("5", lambda cluster: cluster.state().stage is Stage.ROLLING_BACK),
    "rolled-back": ("5", lambda cluster: cluster.state().stage is Stage.ROLLED_BACK),
}
"""Name -> the model version that is applied, and when the picture is taken."""


def looked(cluster: Cluster, step: int) -> bool:
    """Return whether a candidate has been judged at a step, by several looks."""
    state = cluster.state()
    judged = state.candidate is not None and state.candidate.step == step and state.candidate.step_requests > 100
    return judged and state.stage is Stage.ANALYSING and bool(state.checks) and bool(state.checks[0].counters)


def at(moment: str) -> Cluster:
    """Return a world at a moment, as this checkout's operator brings it there."""
    version, there = MOMENTS[moment]
    cluster = Cluster(a_spec("1", **SPEC), errors=dict(ERRORS))
    if version != "1":
        cluster.settle().apply(a_spec(version, **SPEC))
    cluster.run(until=there)
    assert there(cluster), moment
    return cluster


def taken(cluster: Cluster) -> dict[str, Any]:
    """Return what outlives the operator."""
    return {
        "now": cluster.now.isoformat(),
        "generation": cluster.generation,
        "spec": cluster.spec,
        "status": cluster.status,
        "objects": [one for (kind, _), one in sorted(cluster.objects.items()) if kind in KEPT],
        "routers": {
            pod: [[revision, code, count] for (revision, code), count in sorted(cluster._counts[pod].items())]
            for pod in cluster.routers()
        },
    }


def moments(release: Path = FIRST) -> Iterator[str]:
    """Yield the names of the recorded moments."""
    yield from sorted(path.stem for path in release.glob("*.json"))


def read(moment: str, release: Path = FIRST) -> dict[str, Any]:
    """Return a record as it was written."""
    record: dict[str, Any] = json.loads((release / f"{moment}.json").read_text(encoding="utf-8"))
    return record


def resumed(record: dict[str, Any]) -> Cluster:
    """Return the world of a record: pods that run, routers that have the recorded split, and the operator's status."""
    cluster = Cluster(record["spec"], errors=dict(ERRORS), status=record["status"], generation=record["generation"])
    cluster.now = datetime.fromisoformat(record["now"])
    cluster.objects = {(one["kind"], one["metadata"]["name"]): one for one in record["objects"]}
    acked = cluster.objects.get(("ConfigMap", f"{NAME}-router-acks"), {}).get("data", {})
    cluster._start_routers(len(record["routers"]))
    for pod, counts in record["routers"].items():
        cluster._counts[pod].update({(revision, code): count for revision, code, count in counts})
        cluster._history[pod].append((cluster.now.timestamp(), dict(cluster._counts[pod])))
        split = cluster.split()
        if split is not None and acked.get(pod) == str(split["generation"]):
            cluster._applied[pod] = split
    return cluster


def main(release: str) -> None:
    """Write the records of this checkout, and the definitions that its API server has."""
    folder = DATA / f"release-{release}"
    folder.mkdir(parents=True, exist_ok=True)
    for moment in MOMENTS:
        text = json.dumps(taken(at(moment)), indent=None, separators=(",", ":"))
        (folder / f"{moment}.json").write_text(text + "\n", encoding="utf-8")
    for one in crd.crds():
        (folder / crd.file_name(one)).write_text(yaml.safe_dump(one, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
