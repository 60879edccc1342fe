"""The declared permissions are what the code calls for: not one less, and not one more."""

import ast
import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from assay import core
from assay.adapters.kube import PLURALS
from assay.api.crd import RESOURCES, crds
from assay.api.modeldeployment import ModelDeployment
from assay.app.operator import CHILDREN
from assay.core import manifests, rollout
from assay.core.decision import Ensure, Ref, Seen
from assay.core.permissions import PERMISSIONS

Right: TypeAlias = tuple[str, str, str]
"""Group, resource, verb."""

NOW = datetime(2013, 1, 1, tzinfo=UTC)
RESOURCE = ModelDeployment.model_validate(
    {
        "metadata": {"name": "flights", "namespace": "shop", "uid": "u"},
        "spec": {
            "model": {"name": "flights", "version": "1"},
            "template": {
                "spec": {
                    "containers": [{"name": "model", "envFrom": [{"configMapRef": {"name": "settings"}}]}],
                    "volumes": [{"name": "key", "secret": {"secretName": "key"}}],
                }
            },
            "strategy": {"canary": {"steps": [{"weight": 5}]}},
            "analysis": {"checks": [{"name": "errors", "preset": "error-ratio"}]},
        },
    }
)


def rights(api_version: str, kind: str, *verbs: str) -> set[Right]:
    return {(api_version.rpartition("/")[0], PLURALS[api_version, kind], verb) for verb in verbs}


def children() -> list[dict[str, Any]]:
    """Return the children that the first round of a new ModelDeployment applies: one of each kind there is."""
    seen = Seen(now=NOW, objects={Ref("v1", "ConfigMap", "settings"): {"kind": "ConfigMap"}})
    decision = rollout.decide(RESOURCE, seen, manifests.ManifestOptions())
    return [action.manifest for action in decision.actions if isinstance(action, Ensure)]


def removed() -> set[Right]:
    """Return the rights that every `Remove(Ref(...))` in the core asks for."""
    found: set[Right] = set()
    for path in Path(str(core.__file__)).parent.glob("*.py"):
        if path.stem == "__init__":
            continue
        module = vars(importlib.import_module(f"assay.core.{path.stem}"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Remove":
                (ref,) = node.args
                assert isinstance(ref, ast.Call), f"{path.name}:{node.lineno} hides what it removes"
                version, kind = (eval(ast.unparse(one), module) for one in ref.args[:2])  # noqa: S307 - our own source
                found |= rights(version, kind, "delete")
    return found


def granted_to_routers(manifests_: list[dict[str, Any]]) -> set[Right]:
    """Return what the operator gives away, which it must hold."""
    (role,) = (one for one in manifests_ if one["kind"] == "Role")
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def called_for() -> set[Right]:
    """Return every right that the code makes use of."""
    looked_at = rollout.needs(RESOURCE, NOW)
    applied = children()
    found: set[Right] = granted_to_routers(applied) | removed()
    for one in looked_at.objects:
        found |= rights(one.api_version, one.kind, "get")
    for listing in looked_at.listings:
        found |= rights(listing.api_version, listing.kind, "list")
    for manifest in applied:
        found |= rights(manifest["apiVersion"], manifest["kind"], "create", "patch")
    for group, _, plural in CHILDREN:
        found |= {(group, plural, verb) for verb in ("list", "watch")}
    for resource, definition in zip(RESOURCES, crds(), strict=True):
        group = definition["spec"]["group"]
        found |= {(group, resource.plural, verb) for verb in ("get", "list", "watch")}
        found |= {(group, f"{resource.plural}/status", "update"), (group, f"{resource.plural}/finalizers", "update")}
    return found | {("events.k8s.io", "events", "create")}


def test_the_permissions_are_exactly_what_the_code_calls_for() -> None:
    declared = {(one.group, one.resource, verb) for one in PERMISSIONS for verb in one.verbs}

    assert declared == called_for()


def test_the_right_on_finalizers_is_asked_for_because_children_block_their_owner() -> None:
    owners = [owner for one in children() for owner in one["metadata"]["ownerReferences"]]

    assert all(owner["blockOwnerDeletion"] for owner in owners)


def test_a_secret_that_a_template_names_is_never_looked_at() -> None:
    looked_at = rollout.needs(RESOURCE, NOW)

    assert looked_at.objects == (Ref("v1", "ConfigMap", "settings"),)
    assert ("v1", "Secret") not in PLURALS


def test_every_permission_says_what_it_is_for() -> None:
    assert all(one.reason for one in PERMISSIONS)
    assert len({(one.group, one.resource) for one in PERMISSIONS}) == len(PERMISSIONS)
