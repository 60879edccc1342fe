"""A status of an older release is read in today's words; one of a newer release is not read at all."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from assay.api import crd
from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeploymentStatus
from assay.core.errors import NewerState
from assay.core.migrations import STEPS, migrated
from core.recorded import FIRST


def test_the_steps_lead_to_the_version_that_a_new_status_gets() -> None:
    assert ModelDeploymentStatus().state_version == 1 + len(STEPS)


def test_where_there_is_no_status_there_is_nothing_to_migrate() -> None:
    assert migrated({}) == {}


@pytest.mark.parametrize(
    "status", ["lost", 7, None, [], {"stateVersion": "1"}, {"stateVersion": 0}, {"stateVersion": True}]
)
def test_what_is_no_status_is_left_to_the_model_to_refuse(status: Any) -> None:
    assert migrated(status) == status


def test_every_step_between_two_versions_is_taken_once_and_in_order() -> None:
    def renamed(status: Manifest) -> Manifest:
        return {("phase" if key == "stage" else key): value for key, value in status.items()}

    def doubled(status: Manifest) -> Manifest:
        return status | {"phase": status["phase"] * 2}

    steps = (renamed, doubled)

    assert migrated({"stage": "A"}, steps) == {"phase": "AA", "stateVersion": 3}
    assert migrated({"phase": "A", "stateVersion": 2}, steps) == {"phase": "AA", "stateVersion": 3}
    assert migrated({"phase": "A", "stateVersion": 3}, steps) == {"phase": "A", "stateVersion": 3}


def test_a_status_of_a_newer_release_is_refused_with_what_to_do() -> None:
    newer = 2 + len(STEPS)

    with pytest.raises(NewerState, match=rf"^status.stateVersion: is {newer}, .* knows {newer - 1} at most. Run the"):
        migrated({"stateVersion": newer, "stage": "FromTheFuture"})


def enums(schema: Any, place: str = "status") -> Iterator[tuple[str, frozenset[str]]]:
    """Yield every enum of a schema with its place."""
    if "enum" in schema:
        yield place, frozenset(schema["enum"])
    for name, child in schema.get("properties", {}).items():
        yield from enums(child, f"{place}.{name}")
    if "items" in schema:
        yield from enums(schema["items"], f"{place}[]")


def status_of(definition: Manifest) -> Manifest:
    schema: Manifest = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return schema


def test_an_enum_of_the_status_grows_only_with_a_new_version() -> None:
    recorded = yaml.safe_load((FIRST / "assay.dev_modeldeployments.yaml").read_text(encoding="utf-8"))
    (today,) = (one for one in crd.crds() if one["metadata"]["name"] == recorded["metadata"]["name"])
    now = dict(enums(status_of(today)))
    grown = {place for place, values in enums(status_of(recorded)) if now[place] - values}

    # A release that does not know the value could not read the status at all, and must be told so by the version.
    assert not grown or STEPS, f"{grown} got new values: add a step to STEPS, and raise state_version's default"
