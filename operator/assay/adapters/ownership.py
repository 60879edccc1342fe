"""Whose is an object: may it be written or deleted for a ModelDeployment?

It may where that ModelDeployment is its controller, or where nobody is and it carries our labels: then it was orphaned
on purpose, and is adopted.
"""

from dataclasses import dataclass

from assay.api.base import Manifest
from assay.core.errors import InvalidSpec, Retryable
from assay.core.names import DEPLOYMENT_LABEL, MANAGED_BY


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller that an object names."""

    kind: str
    name: str
    uid: str


def owner_of(manifest: Manifest) -> Owner | None:
    """Return the controller of an object, if it has one."""
    for one in manifest["metadata"].get("ownerReferences") or []:
        if one.get("controller"):
            return Owner(one["kind"], one["name"], one["uid"])
    return None


def check(found: Manifest, owner: Owner | None) -> None:
    """Return if an object may be written for `owner`.

    Args:
        found: The object as it is, with its kind.
        owner: The ModelDeployment that wants it; None may have nothing.

    Raises:
        InvalidSpec: It belongs to somebody else.
        Retryable: It belongs to an earlier ModelDeployment of this name, and goes with it.
    """
    what = f"{found['kind']} {found['metadata']['name']}"
    holder = owner_of(found)
    if owner is not None and holder is not None:
        if holder.uid == owner.uid:
            return
        if (holder.kind, holder.name) == (owner.kind, owner.name):
            # Of one name there is one at a time, so that one is gone and Kubernetes is collecting what it left.
            raise Retryable(f"{what} still belongs to a {owner.kind} of this name that was deleted.")
    elif owner is not None and _carries_labels_of(found, owner):
        return
    raise InvalidSpec(f"{what} exists and does not belong to this ModelDeployment; rename one of them.")


def _carries_labels_of(found: Manifest, owner: Owner) -> bool:
    labels = found["metadata"].get("labels") or {}
    return bool((MANAGED_BY | {DEPLOYMENT_LABEL: owner.name}).items() <= labels.items())
