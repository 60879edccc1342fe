"""What is one revision, and what is not?"""

import pytest

import assay
from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeployment, ModelDeploymentSpec
from assay.core import manifests, revisions
from assay.core.revisions import Recorded, revision_of
from core.simulation import a_spec


def parsed(spec: Manifest) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate(spec)


def deployment(spec: Manifest) -> ModelDeployment:
    return ModelDeployment.model_validate({"metadata": {"name": "m", "uid": "u"}, "spec": spec})


def test_the_hash_is_that_of_the_template_and_the_model_alone() -> None:
    assert revision_of(parsed(a_spec("1"))) == "8dd370d9"  # a change here restarts every model of every user


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 9},
        {"serving": {"port": 9000}},
        {"analysis__intervalSeconds": 60},
        {"traffic": {"router": {"replicas": 5}}},
        {"rollback": {"quarantine": False}},
        {"intent": {"paused": True, "retry": "1a2b3c4d"}},
    ],
)
def test_what_is_neither_template_nor_model_makes_no_new_revision(change: Manifest) -> None:
    assert revision_of(parsed(a_spec("1", **change))) == revision_of(parsed(a_spec("1")))


@pytest.mark.parametrize(
    "change",
    [
        {"model__uri": "s3://other"},
        {"model__digest": "sha256:" + "0" * 64},
        {"template__metadata": {"labels": {"a": "b"}}},
    ],
)
def test_a_change_of_template_or_model_is_a_new_revision(change: Manifest) -> None:
    assert revision_of(parsed(a_spec("1", **change))) != revision_of(parsed(a_spec("1")))


def test_the_order_in_which_fields_are_written_does_not_matter() -> None:
    spec = a_spec("1")
    turned = {**spec, "model": dict(reversed(spec["model"].items()))}

    assert revision_of(parsed(turned)) == revision_of(parsed(spec))


def test_neither_the_operators_version_nor_its_defaults_change_hash_or_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = deployment(a_spec("1"))
    recorded = revisions.record(resource.spec, 1)
    before = manifests.model_deployment(resource, recorded, 3)

    monkeypatch.setattr(assay, "__version__", "99.0.0")
    # A field that a later release adds with a default is not set by the user, so it does not count.
    later = resource.spec.model.model_copy(update={"uri": "default"})
    object.__setattr__(later, "__pydantic_fields_set__", {"name", "version"})

    assert revision_of(resource.spec.model_copy(update={"model": later})) == recorded.revision
    assert manifests.model_deployment(resource, revisions.record(resource.spec, 1), 3) == before
    assert assay.__version__ not in str(before)


def test_a_revision_read_back_from_its_controller_revision_is_the_same() -> None:
    resource = deployment(a_spec("1", serving={"port": 9000, "protocol": "v1"}))
    recorded = revisions.record(resource.spec, 4)

    read = revisions.read(manifests.controller_revision(resource, recorded))

    assert read == recorded
    assert read is not None
    assert manifests.model_deployment(resource, read, 1) == manifests.model_deployment(resource, recorded, 1)


@pytest.mark.parametrize("data", [None, {}, {"template": 1}, {"template": {}, "model": {}}])
def test_a_controller_revision_that_cannot_be_read_is_none_of_ours(data: object) -> None:
    metadata = {"name": "m-12345678", "labels": {"assay.dev/revision": "12345678"}}

    assert revisions.read({"metadata": metadata, "data": data}) is None


def test_the_oldest_records_are_forgotten_but_never_a_live_one() -> None:
    spec = parsed(a_spec("1"))
    kept = {
        name: Recorded(name, spec.template, spec.model, spec.serving, number) for number, name in enumerate("abcde")
    }

    assert revisions.surplus(kept, live=("a",), limit=2) == ("c", "b")
    assert revisions.surplus(kept, live=tuple("abcde"), limit=1) == ()
