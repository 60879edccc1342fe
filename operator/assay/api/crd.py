"""What does the API server have to know about our kinds? The CustomResourceDefinitions, generated from the models."""

import json
from dataclasses import dataclass

import yaml

from assay.api.base import GROUP, VERSION, Manifest, Model
from assay.api.modeldeployment import ModelDeployment
from assay.api.structural import Schema, schema_of, without_defaults

HEADER = "# Generated from the models in operator/assay/api by `make generate`; edit those.\n"


@dataclass(frozen=True, slots=True)
class Column:
    """What `kubectl get` prints of a resource."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0
    """0: always; 1: with `-o wide` only."""

    def to_manifest(self) -> Manifest:
        """Return an entry of `additionalPrinterColumns`."""
        column: Manifest = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            column["description"] = self.description
        return column | ({"priority": self.priority} if self.priority else {})


@dataclass(frozen=True, slots=True)
class Resource:
    """One of our kinds, as users and the API server know it."""

    model: type[Model]
    plural: str
    short_name: str
    columns: tuple[Column, ...]

    @property
    def kind(self) -> str:
        """The kind, which is the name of its model."""
        return self.model.__name__


MODEL_DEPLOYMENT = Resource(
    ModelDeployment,
    "modeldeployments",
    "mdep",
    (
        Column("Stage", ".status.stage", "Where the release stands."),
        Column("Stable", ".status.stable.revision", "Revision that serves."),
        Column("Candidate", ".status.candidate.revision", "Revision on trial."),
        Column("Weight", ".status.candidate.weight", "Percent of traffic that the candidate answers.", "integer"),
        Column("Step", ".status.candidate.stepText", "Step of how many."),
        Column("Verdict", ".status.verdict", "Worst verdict of the required checks."),
        Column("Paused", ".status.intent.pausedTime", "How long spec.intent.paused has been true.", "date"),
        Column("Model", ".spec.model.version", "Version of the model that is asked for.", priority=1),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].reason", "Reason of the condition Ready.", priority=1),
        Column("Age", ".metadata.creationTimestamp", "", "date"),
    ),
)

RESOURCES = (MODEL_DEPLOYMENT,)


def crds() -> list[Manifest]:
    """Return the CustomResourceDefinition of every kind."""
    # Through JSON, so that no two places share a value, which YAML would write as anchor and alias.
    plain: list[Manifest] = json.loads(json.dumps([_crd(resource) for resource in RESOURCES]))
    return plain


def file_name(crd: Manifest) -> str:
    """Return the name of the file that holds a CRD: `assay.dev_modeldeployments.yaml`."""
    return f"{crd['spec']['group']}_{crd['spec']['names']['plural']}.yaml"


def to_yaml(crd: Manifest) -> str:
    """Return a CRD as text."""
    return HEADER + yaml.safe_dump(crd, sort_keys=False, width=120, allow_unicode=True)


def _crd(resource: Resource) -> Manifest:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short_name],
                "categories": ["assay"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [column.to_manifest() for column in resource.columns],
                    "schema": {"openAPIV3Schema": _root(resource)},
                }
            ],
        },
    }


def _root(resource: Resource) -> Schema:
    schema = schema_of(resource.model)
    fields = schema["properties"]
    envelope = {
        "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
        "kind": {"type": "string", "description": f"{resource.kind}."},
        # The server knows the rest; the bound lets it estimate what our rules about the name cost.
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
    }
    schema["properties"] = envelope | {"spec": fields["spec"], "status": without_defaults(fields["status"])}
    schema["required"] = ["spec"]
    return schema
