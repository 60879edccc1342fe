"""An API server that would drop or refuse what this release writes is told from one that would not."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.api import crd
from assay.api.served import gaps, losses, outdated

RECORDED = Path(__file__).parents[1] / "data" / "release-0.1.0"


def schema(**status: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"status": {"type": "object", "properties": status}}}


def published() -> dict[str, Any]:
    """Kind -> schema, as the API server publishes it: metadata is a reference there."""
    found = {}
    for one in copy.deepcopy(crd.crds()):
        made = one["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        made["properties"]["metadata"] = {"allOf": [{"$ref": "#/components/schemas/ObjectMeta"}]}
        found[one["spec"]["names"]["kind"]] = made
    return found


def places(node: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of every field of a schema, as keys; not below what is kept as it was written."""
    found = []
    if "x-kubernetes-preserve-unknown-fields" not in node:
        for name, child in node.get("properties", {}).items():
            found += [(*path, "properties", name), *places(child, (*path, "properties", name))]
    if "items" in node:
        found += places(node["items"], (*path, "items"))
    return found


def test_the_schemas_of_this_release_are_wide_enough() -> None:
    assert outdated(published()) is None


def test_the_want_of_any_one_field_is_found_and_the_field_named() -> None:
    ours = published()["ModelDeployment"]
    fields = [path for path in places(ours) if path[1] in {"spec", "status"}]
    assert len(fields) > 100

    for *parents, name in fields:
        served = copy.deepcopy(ours)
        node = served
        for key in parents:
            node = node[key]
        del node[name]
        dotted = ".".join(key for key in (*parents, name) if key != "properties").replace(".items", "[]")
        assert next(gaps(ours, served)) == dotted


def test_a_schema_that_is_too_old_is_told_with_the_field_and_the_remedy() -> None:
    served = published()
    del served["ModelDeployment"]["properties"]["status"]["properties"]["history"]

    assert outdated(served) == (
        "The CustomResourceDefinition modeldeployments.assay.dev in this cluster is older than this operator: it would"
        " lose status.history. Nothing is reconciled until it is newer; apply it:"
        " assay crds | kubectl apply --server-side --force-conflicts -f -"
    )


@pytest.mark.parametrize(
    ("needed", "served", "gap"),
    [
        ({"a": {"enum": ["x", "y"]}}, {"a": {"enum": ["x"]}}, "status.a: y"),
        ({"a": {"type": "string"}}, {"a": {"enum": ["x"]}}, "status.a: any value"),
        ({"a": {"maxItems": 20}}, {"a": {"maxItems": 10}}, "status.a beyond maxItems 10"),
        ({"a": {"type": "array"}}, {"a": {"maxItems": 10}}, "status.a beyond maxItems 10"),
        ({"a": {"x-kubernetes-preserve-unknown-fields": True}}, {"a": {}}, "status.a as it was written"),
        ({"a": {"items": {"properties": {"b": {}}}}}, {"a": {"items": {}}}, "status.a[].b"),
    ],
)
def test_what_would_be_dropped_or_refused_is_a_gap(needed: dict[str, Any], served: dict[str, Any], gap: str) -> None:
    assert list(gaps(schema(**needed), schema(**served))) == [gap]


@pytest.mark.parametrize(
    ("needed", "served"),
    [
        ({"a": {}}, {"a": {}, "b": {}}),
        ({"a": {"enum": ["x"]}}, {"a": {"enum": ["x", "y"]}}),
        ({"a": {"maximum": 5}}, {"a": {"maximum": 9}}),
        ({"a": {"properties": {"b": {}}}}, {"a": {"x-kubernetes-preserve-unknown-fields": True}}),
    ],
)
def test_what_is_wider_has_no_gap(needed: dict[str, Any], served: dict[str, Any]) -> None:
    assert list(gaps(schema(**needed), schema(**served))) == []


@pytest.mark.parametrize("recorded", sorted(RECORDED.glob("assay.dev_*.yaml")), ids=lambda path: path.stem)
def test_no_release_takes_away_what_the_first_one_stored(recorded: Path) -> None:
    first = yaml.safe_load(recorded.read_text(encoding="utf-8"))
    (today,) = (one for one in crd.crds() if one["metadata"]["name"] == first["metadata"]["name"])

    assert list(losses(first, today)) == []
