"""What the first release left is taken over as it is: no pod restarts, no evidence is lost, and the rollout ends the same."""

import copy
from typing import Any

import pytest

from assay.api.modeldeployment import ModelDeployment, ModelDeploymentStatus, Outcome, Stage
from assay.core.decision import Ensure
from assay.core.migrations import migrated
from assay.core.names import SPLIT_KEY
from assay.core.revisions import revision_of
from core.recorded import FIRST, moments, read, resumed
from core.simulation import Cluster

Record = dict[str, Any]
RECORDS = {name: read(name) for name in moments(FIRST)}


def of(*, judged: bool = False, rollout: bool = False) -> pytest.MarkDecorator:
    """Run a test for every record; only for those with evidence, or of a rollout."""
    calm = {"Initialising", "Stable"}
    chosen = [
        pytest.param(record, id=name)
        for name, record in RECORDS.items()
        if (record["status"]["checks"] or not judged) and not (rollout and record["status"]["stage"] in calm)
    ]
    return pytest.mark.parametrize("record", chosen)


def upgraded(record: Record) -> Cluster:
    """The recorded world, with the status as today's operator reads it."""
    cluster = resumed(copy.deepcopy(record))
    cluster.status = migrated(record["status"])
    return cluster


def survives(old: Any, new: Any) -> bool:
    """Return whether everything of `old` is in `new`, at any depth."""
    match old:
        case dict():
            return isinstance(new, dict) and all(key in new and survives(old[key], new[key]) for key in old)
        case list():
            return len(old) == len(new) and all(survives(*pair) for pair in zip(old, new, strict=True))
        case _:
            return bool(old == new)


def models(cluster: Cluster) -> dict[str, Any]:
    """Name -> what restarts pods where it changes: the pod template of a model's Deployment, and its selector."""
    return {
        one["metadata"]["name"]: (one["spec"]["template"], one["spec"]["selector"]) for one in cluster.models().values()
    }


def records(cluster: Cluster) -> dict[str, Any]:
    return {name: one["data"] for (kind, name), one in cluster.objects.items() if kind == "ControllerRevision"}


def test_every_stage_of_the_first_release_is_on_record() -> None:
    assert {record["status"]["stage"] for record in RECORDS.values()} == {
        "Initialising", "Stable", "Preparing", "Analysing", "Promoting", "RollingBack", "RolledBack",
    }  # fmt: skip


@of()
def test_every_recorded_field_survives_being_read_and_written(record: Record) -> None:
    status = ModelDeploymentStatus.model_validate(migrated(record["status"]))

    assert survives({**record["status"], "stateVersion": status.state_version}, status.to_manifest())


@of()
def test_the_spec_is_still_the_same_revision(record: Record) -> None:
    spec = ModelDeployment.model_validate({"metadata": {"name": "flights"}, "spec": record["spec"]}).spec

    kept = [one for one in record["objects"] if one["kind"] == "ControllerRevision"]
    newest = max(kept, key=lambda one: int(one["revision"]))
    assert newest["metadata"]["name"] == f"flights-{revision_of(spec)}"


@of()
def test_the_first_round_after_an_upgrade_restarts_no_model_renames_no_record_and_moves_no_traffic(
    record: Record,
) -> None:
    cluster = upgraded(record)
    before, kept, split = models(cluster), records(cluster), cluster.split()

    decision = cluster.round()

    ensured = {one.manifest["kind"] for one in decision.actions if isinstance(one, Ensure)}
    assert "Deployment" in ensured
    for name, (template, selector) in models(cluster).items():
        assert (template, selector) == before.get(name, (template, selector))
    assert set(before) <= set(models(cluster))
    assert records(cluster) == kept
    assert cluster.split() == split or record["status"]["stage"] in {"Promoting", "RollingBack"}


@of(judged=True)
def test_the_evidence_goes_on_from_where_it_was(record: Record) -> None:
    cluster = upgraded(record)
    before = {one.name: one for one in ModelDeploymentStatus.model_validate(record["status"]).checks}

    cluster.round()

    for one in cluster.state().checks:
        old = before[one.name]
        assert (one.harm, one.harm_beyond, one.lattice, one.totals) == (
            old.harm, old.harm_beyond, old.lattice, old.totals,
        )  # fmt: skip
    cluster.run(20.0)
    for one in cluster.state().checks:
        assert all(now >= then for now, then in zip(one.totals, before[one.name].totals, strict=True))


@of(rollout=True)
def test_a_rollout_that_the_first_release_began_ends_as_it_would_have_ended(record: Record) -> None:
    cluster = upgraded(record)
    before = models(cluster)

    def same_pods(world: Cluster, _: object) -> None:
        assert all(before[name] == pods for name, pods in models(world).items() if name in before)

    cluster.settle(3000, each=same_pods)

    worse = record["spec"]["model"]["version"] == "5"
    ended = cluster.state()
    assert cluster.rests()
    assert [one.outcome for one in ended.history] == [Outcome.ROLLED_BACK if worse else Outcome.PROMOTED]
    assert ended.stage is (Stage.ROLLED_BACK if worse else Stage.STABLE)
    assert (
        ended.history[0].start_time
        == (record["status"].get("candidate") or record["status"]["history"][0])["startTime"]
    )


def test_routers_that_acknowledged_the_first_release_count_as_acknowledged() -> None:
    record = RECORDS["analysing-step-2"]
    cluster = upgraded(record)
    said = {one["metadata"]["name"]: one.get("data", {}) for one in record["objects"] if one["kind"] == "ConfigMap"}

    cluster.round()

    assert set(said["flights-router-acks"].values()) == {str(record["status"]["splitGeneration"])}
    assert cluster.state().split_acked_time == record["status"]["splitAckedTime"]
    assert cluster.objects["ConfigMap", "flights-router"]["data"][SPLIT_KEY] == said["flights-router"][SPLIT_KEY]
