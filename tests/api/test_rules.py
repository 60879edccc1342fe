"""What a user may write, the operator accepts; of the rest it says where, what, and what would be right."""

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeployment, Router
from drawing import model_deployments
from modeldeployments import REFUSED, TEMPLATE, WRONG, Wrong, with_check, with_steps, written


def place(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def complaints(manifest: Manifest) -> list[tuple[str, str]]:
    """Return what the operator says is wrong, as (field, sentence)."""
    try:
        ModelDeployment.model_validate(manifest)
    except ValidationError as error:
        return [(place(one["loc"]), one["msg"].removeprefix("Value error, ")) for one in error.errors()]
    return []


def test_a_manifest_of_required_fields_gets_every_default() -> None:
    resource = ModelDeployment.model_validate(written())

    assert resource.spec.replicas == 1
    assert resource.spec.traffic.router == Router(replicas=2)
    assert resource.spec.analysis.false_rollback == "0.01"
    assert resource.spec.analysis.checks[0].required


@pytest.mark.parametrize("wrong", [pytest.param(one, id=name) for name, one in WRONG.items()])
def test_a_broken_rule_is_answered_with_its_field_and_one_sentence(wrong: Wrong) -> None:
    ((field, sentence),) = complaints(wrong.manifest)

    # The name's rules belong to the root, so the sentence itself names the field.
    assert wrong.field == field or (field == "" and wrong.field in sentence)
    assert wrong.sentence in sentence


@pytest.mark.parametrize("manifest", [pytest.param(one, id=name) for name, one in REFUSED.items()])
def test_what_is_no_value_of_the_field_is_refused(manifest: Manifest) -> None:
    assert complaints(manifest)


def test_margins_and_tolerances_of_different_units_cannot_be_compared_and_pass() -> None:
    assert not complaints(with_check(tolerance={"relative": "0.5"}, margin={"absolute": "0.001"}))
    assert not complaints(with_check(tolerance={"absolute": "0.5"}, margin={"relative": "0.01"}))


def test_equal_weights_do_not_fall() -> None:
    assert not complaints(with_steps({"weight": 5}, {"weight": 5, "minSeconds": 600}))


def test_fields_of_a_newer_release_are_ignored() -> None:
    manifest = written(gateway={"name": "edge"})

    assert not complaints(manifest)
    assert "gateway" not in ModelDeployment.model_validate(manifest).spec.to_manifest()


def test_the_template_is_kept_as_written() -> None:
    template = copy.deepcopy(TEMPLATE) | {"metadata": {"annotations": {"a": "b"}}}
    template["spec"]["futureField"] = {"deep": [1, {"x": None}]}

    assert ModelDeployment.model_validate(written(template=template)).spec.template == template


@given(model_deployments())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_accepted_comes_back_the_same_from_its_own_manifest(manifest: Manifest) -> None:
    if complaints(manifest):
        return
    resource = ModelDeployment.model_validate(manifest)

    assert ModelDeployment.model_validate(resource.to_manifest()) == resource
