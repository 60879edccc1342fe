"""What serves, and how do requests reach it?"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from assay.api.base import Integer, Manifest, Model
from assay.api.rules import Matches, Rule

HeaderName = Annotated[
    str,
    Field(min_length=1, max_length=64),
    Matches("[a-z0-9]([-a-z0-9]*[a-z0-9])?", "must be the name of a request header in lower case, such as x-user-id"),
]
Digest = Annotated[
    str,
    Field(max_length=71),
    Matches("sha256:[0-9a-f]{64}", "must be sha256: and 64 hex digits in lower case"),
]
MOST_CONTAINERS = 32
MOST_ENTRIES = 1000
LONGEST = 262144  # characters; Kubernetes' own bound for all annotations together


class ModelIdentity(Model):
    """Which model this is; handed to the pods as environment (ASSAY_MODEL_NAME, ...). Assay fetches nothing."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    """Name of the model."""
    version: Annotated[str, Field(min_length=1, max_length=64)]
    """Version of the model, for people."""
    uri: Annotated[str, Field(max_length=1024)] | None = None
    """Where the serving container finds the artefact."""
    digest: Digest | None = None
    """Digest of the artefact; a change here is a new revision even where the URI stays."""


class Protocol(StrEnum):
    """How the model server speaks; decides the readiness path where the template has no probe."""

    V1 = "v1"
    V2 = "v2"
    OPENAI = "openai"
    HTTP = "http"


class MetricsPreset(StrEnum):
    """Where the request counters come from."""

    ASSAY = "assay"


class ServingMetrics(Model):
    """Where the metrics come from."""

    preset: MetricsPreset = MetricsPreset.ASSAY
    """Names of the metrics: `assay` reads the router's counters. Default assay."""


class Serving(Model):
    """How the containers serve."""

    port: Annotated[Integer, Field(ge=1, le=65535)] = 8080
    """Container port that answers predictions; also the port of the Services. Default 8080."""
    protocol: Protocol = Protocol.V2
    """v1, v2 (Open Inference Protocol), openai or http. Default v2."""
    metrics: ServingMetrics = ServingMetrics()
    """Where the metrics come from."""


class RevisionHeader(StrEnum):
    """What happens to `x-assay-revision` in requests that come through the Service."""

    STRIP = "Strip"
    ALLOW = "Allow"


class Router(Model):
    """Assay's own router (Envoy): exact weights, sticky users, nothing needed in the cluster."""

    replicas: Annotated[Integer, Field(ge=1, le=20)] = 2
    """Number of router pods. Default 2."""
    revision_header: RevisionHeader = RevisionHeader.STRIP
    """Strip: callers cannot choose a revision. Allow: the request header `x-assay-revision` reaches that revision, counted apart. Default Strip."""
    timeout_seconds: Annotated[Integer, Field(ge=1, le=3600)] = 60
    """How long one prediction may take before the router answers 504. Default 60 s."""


class Traffic(Model):
    """How requests reach the revisions."""

    rules = (
        Rule(
            "must have exactly one provider, and today router is the only one: write router: {}",
            "has(self.router)",
            lambda one: one.router is not None,
        ),
    )

    router: Router | None = None
    """Assay's own router. Exactly one provider must be set; today router is the only one."""
    sticky_header: HeaderName | None = None
    """Request header that names a user; one user stays with one revision. Absent: each request is drawn anew."""


def _has_name(variable: object) -> bool:
    return isinstance(variable, dict) and isinstance(variable.get("name"), str)


def _maps_text(value: object) -> bool:
    return (
        isinstance(value, dict) and len(value) <= MOST_ENTRIES and all(isinstance(text, str) for text in value.values())
    )


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """Annotation of a PodTemplateSpec, of which only what Assay itself reads is looked at; a dry run judges the rest."""

    def check(self, value: Manifest) -> Manifest:
        """Return the template, or raise the sentence."""
        spec = value.get("spec")
        containers = spec.get("containers") if isinstance(spec, dict) else None
        if not isinstance(containers, list) or not 1 <= len(containers) <= MOST_CONTAINERS:
            raise ValueError(f"must have spec.containers, a list of 1 to {MOST_CONTAINERS}")
        if not all(isinstance(one, dict) and isinstance(one.get("name"), str) and one["name"] for one in containers):
            raise ValueError("must give every one of spec.containers a name")
        for one in containers:
            variables = one.get("env", [])
            if (
                not isinstance(variables, list)
                or len(variables) > MOST_ENTRIES
                or not all(_has_name(each) for each in variables)
            ):
                raise ValueError(
                    f"must give every one of spec.containers an env that is a list of at most {MOST_ENTRIES} objects with a name"
                )
        metadata = value.get("metadata", {})
        if not isinstance(metadata, dict):
            raise ValueError("must have an object as metadata, with labels and annotations")  # noqa: TRY004 - pydantic takes it
        for part in ("labels", "annotations"):
            if not _maps_text(metadata.get(part, {})):
                raise ValueError(f"must have at most {MOST_ENTRIES} texts in metadata.{part}, which is a map")
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, _core: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        anything: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        words = {
            "type": "object",
            "maxProperties": MOST_ENTRIES,
            "additionalProperties": {"type": "string", "maxLength": LONGEST},
        }
        metadata = anything | {"properties": {"labels": words, "annotations": words}}
        variable = anything | {"required": ["name"], "properties": {"name": {"type": "string", "maxLength": LONGEST}}}
        name = {"type": "string", "minLength": 1, "maxLength": 63}
        variables = {"type": "array", "items": variable, "maxItems": MOST_ENTRIES}
        container = anything | {"required": ["name"], "properties": {"name": name, "env": variables}}
        containers = {"type": "array", "items": container, "minItems": 1, "maxItems": MOST_CONTAINERS}
        spec = anything | {"required": ["containers"], "properties": {"containers": containers}}
        return anything | {"required": ["spec"], "properties": {"metadata": metadata, "spec": spec}}
