"""Which immutable combination of model and template is this, and how is it kept?"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeploymentSpec
from assay.api.serving import ModelIdentity, PodTemplate, Serving
from assay.core.names import REVISION_LABEL

DIGITS = 8
API_VERSION, KIND = "apps/v1", "ControllerRevision"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A revision as its ControllerRevision keeps it."""

    revision: str
    """First 8 hex digits of the hash."""
    template: Manifest
    """PodTemplateSpec as the user wrote it."""
    model: ModelIdentity
    """Which model."""
    serving: Serving
    """How its containers serve; frozen with the revision, or a change of it would restart pods that serve."""
    number: int
    """Grows with each revision; the order in which the oldest are dropped."""


def revision_of(spec: ModelDeploymentSpec) -> str:
    """Return the revision of what the user wrote: first 8 hex digits of SHA-256 over the canonical JSON.

    Only `template` and `model` count, and of `model` only fields that the user set: neither a default that a newer
    operator brings nor its version may restart a model.
    """
    written = {
        "template": spec.template,
        "model": spec.model.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True),
    }
    canonical = json.dumps(written, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGITS]


def record(spec: ModelDeploymentSpec, number: int) -> Recorded:
    """Return the revision that the user wrote, as it will be kept."""
    return Recorded(revision_of(spec), spec.template, spec.model, spec.serving, number)


def to_data(recorded: Recorded) -> Manifest:
    """Return the `data` and `revision` of the ControllerRevision."""
    return {
        "data": {
            "template": recorded.template,
            "model": recorded.model.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True),
            "serving": recorded.serving.to_manifest(),
        },
        "revision": recorded.number,
    }


def read(manifest: Manifest) -> Recorded | None:
    """Return the revision that a ControllerRevision keeps; None for one that is not ours or that cannot be read."""
    revision = (manifest["metadata"].get("labels") or {}).get(REVISION_LABEL)
    data = manifest.get("data")
    if revision is None or not isinstance(data, dict) or not isinstance(data.get("template"), dict):
        return None
    try:
        template = PodTemplate().check(data["template"])
        model = ModelIdentity.model_validate(data.get("model"))
        serving = Serving.model_validate(data.get("serving", {}))
    except ValueError:  # pydantic's are of this kind too
        return None
    return Recorded(revision, template, model, serving, int(manifest.get("revision", 0)))


def surplus(recorded: Mapping[str, Recorded], live: Iterable[str], limit: int) -> tuple[str, ...]:
    """Return the revisions to forget: the oldest beyond `limit`, never one that is live."""
    kept = set(live)
    old = sorted((one for one in recorded.values() if one.revision not in kept), key=lambda one: -one.number)
    return tuple(one.revision for one in old[limit:])
