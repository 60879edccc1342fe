"""The generated CRDs are structural, bounded and documented; the API server itself is asked in tests/e2e."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from assay.api import crd
from assay.api.base import Manifest
from modeldeployments import WRONG

ALLOWED = {
    "description", "type", "format", "enum", "default", "required", "properties", "additionalProperties", "items",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties", "pattern",
    "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
}  # fmt: skip
ENVELOPE = {"apiVersion", "kind", "metadata", "metadata.name"}
MOST_CEL = 5_000  # bytes of one rule that the API server takes


def nodes(schema: Manifest, path: str = "") -> Iterator[tuple[str, Manifest]]:
    """Yield every field of a schema with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}".lstrip("."))
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from nodes(schema[key], path + mark)


@pytest.fixture(params=[pytest.param(one, id=one["spec"]["names"]["kind"]) for one in crd.crds()])
def definition(request: pytest.FixtureRequest) -> Manifest:
    return dict(request.param)


@pytest.fixture
def fields(definition: Manifest) -> dict[str, Manifest]:
    """Every field of the one version, by path; without what the API server itself knows."""
    (version,) = definition["spec"]["versions"]
    return {path: one for path, one in nodes(version["schema"]["openAPIV3Schema"]) if path not in ENVELOPE}


def inside_template(path: str) -> bool:
    return path.startswith("spec.template.")


def test_every_node_is_structural(fields: dict[str, Manifest]) -> None:
    for path, node in fields.items():
        assert set(node) <= ALLOWED, path
        assert node["type"] in {"object", "array", "string", "integer", "number", "boolean"}, path
        assert not {"properties", "additionalProperties"} <= set(node), path
        assert set(node.get("required", ())) <= set(node.get("properties", ())), path


def test_every_field_has_a_description(fields: dict[str, Manifest]) -> None:
    silent = [path for path, node in fields.items() if path[-2:] not in ("[]", "{}") and not inside_template(path)
              and not node.get("description", "").endswith(".")]  # fmt: skip

    assert silent == []


def test_every_string_list_and_map_has_an_upper_bound(fields: dict[str, Manifest]) -> None:
    for path, node in fields.items():
        match node["type"]:
            case "string":
                assert "maxLength" in node or "enum" in node, path
            case "array":
                assert "maxItems" in node, path
                assert node["x-kubernetes-list-type"] in {"atomic", "map"}, path
            case "object" if "additionalProperties" in node:
                assert "maxProperties" in node, path
            case "integer":
                assert {"minimum", "maximum"} <= set(node), path


def test_nothing_in_a_spec_is_a_float(fields: dict[str, Manifest]) -> None:
    assert [path for path, node in fields.items() if path.startswith("spec") and node["type"] == "number"] == []


def test_only_the_pod_template_is_kept_unread(fields: dict[str, Manifest]) -> None:
    kept = [path for path, node in fields.items() if "x-kubernetes-preserve-unknown-fields" in node]

    assert [path for path in kept if path != "spec.template" and not inside_template(path)] == []


def test_status_has_no_defaults_and_every_rule_a_sentence(fields: dict[str, Manifest]) -> None:
    for path, node in fields.items():
        assert not (path.startswith("status") and "default" in node), path
        for rule in node.get("x-kubernetes-validations", ()):
            assert len(rule["message"]) <= 200, path
            assert len(rule["rule"]) <= MOST_CEL, path


def test_no_field_that_users_write_answers_with_a_bare_pattern(fields: dict[str, Manifest]) -> None:
    assert [path for path, node in fields.items() if path.startswith("spec") and "pattern" in node] == []


def test_named_lists_are_maps_by_their_name(fields: dict[str, Manifest]) -> None:
    for path, key in (("spec.analysis.checks", "name"), ("status.checks", "name"), ("status.conditions", "type")):
        assert fields[path]["x-kubernetes-list-type"] == "map"
        assert fields[path]["x-kubernetes-list-map-keys"] == [key]
        assert key in fields[path]["items"]["required"]


def test_every_rule_is_broken_by_an_example(fields: dict[str, Manifest]) -> None:
    rules = {rule["message"] for node in fields.values() for rule in node.get("x-kubernetes-validations", ())}
    # These are spoken by scalar types whose sentence another field's example has already shown.
    of_types = {'must be a decimal in quotes from 0 to 1, such as "0.005"'}

    missing = {rule for rule in rules - of_types if not any(one.sentence in rule for one in WRONG.values())}

    assert missing == set()


def test_kubectl_shows_where_a_release_stands(definition: Manifest) -> None:
    (version,) = definition["spec"]["versions"]
    shown = [one["name"] for one in version["additionalPrinterColumns"] if not one.get("priority")]

    assert shown == ["Stage", "Stable", "Candidate", "Weight", "Step", "Verdict", "Paused", "Age"]
    step = next(one for one in version["additionalPrinterColumns"] if one["name"] == "Step")
    assert (step["type"], step["jsonPath"]) == ("string", ".status.candidate.stepText")
    assert version["subresources"] == {"status": {}}
    assert definition["spec"]["names"]["shortNames"] == ["mdep"]
    assert definition["spec"]["names"]["categories"] == ["assay"]


def test_the_text_says_the_same_without_anchors(definition: Manifest) -> None:
    text = crd.to_yaml(definition)
    loaded: Any = yaml.safe_load(text)

    assert loaded == definition
    assert "&id" not in text
