"""Would an API server keep all that this release writes? A schema narrower than ours drops fields and refuses values."""

from collections.abc import Iterator, Mapping

from assay.api import crd
from assay.api.base import Manifest
from assay.api.structural import Schema

OURS = ("spec", "status")
KEEPS_UNKNOWN = "x-kubernetes-preserve-unknown-fields"
MOST = ("maximum", "maxLength", "maxItems", "maxProperties")
REMEDY = "assay crds | kubectl apply --server-side --force-conflicts -f -"


def outdated(served: Mapping[str, Schema]) -> str | None:
    """Return in a sentence why this release cannot work with the schemas that are served, and the remedy; or None.

    Args:
        served: Kind -> schema, as the API server publishes it.
    """
    for definition in crd.crds():
        name, kind = definition["metadata"]["name"], definition["spec"]["names"]["kind"]
        if kind not in served:
            return f"The CustomResourceDefinition {name} is not in this cluster; apply it: {REMEDY}"
        (version,) = definition["spec"]["versions"]
        place = next(gaps(version["schema"]["openAPIV3Schema"], served[kind]), None)
        if place is not None:
            return (
                f"The CustomResourceDefinition {name} in this cluster is older than this operator: it would lose {place}."
                f" Nothing is reconciled until it is newer; apply it: {REMEDY}"
            )
    return None


def losses(old: Manifest, new: Manifest) -> Iterator[str]:
    """Yield what objects under the definition `old` would lose under the definition `new`: versions, fields, values."""
    schemas = {one["name"]: one["schema"]["openAPIV3Schema"] for one in new["spec"]["versions"]}
    for version in old["spec"]["versions"]:
        if version["name"] in schemas:
            yield from gaps(version["schema"]["openAPIV3Schema"], schemas[version["name"]])
        else:
            yield f"version {version['name']}"


def gaps(needed: Schema, served: Schema) -> Iterator[str]:
    """Yield each place of spec and status where `served` would drop or refuse what `needed` allows."""
    for part in OURS:
        if part in needed.get("properties", {}):
            yield from _field(needed["properties"][part], served, part, part)


def _field(needed: Schema, served: Schema, name: str, place: str) -> Iterator[str]:
    inner = served.get("properties", {}).get(name)
    if inner is not None:
        yield from _value(needed, inner, place)
    elif not served.get(KEEPS_UNKNOWN):
        yield place


def _value(needed: Schema, served: Schema, place: str) -> Iterator[str]:
    if needed.get(KEEPS_UNKNOWN) and not served.get(KEEPS_UNKNOWN):
        yield f"{place} as it was written"
    if "enum" in served:
        yield from (f"{place}: {one}" for one in needed.get("enum", ["any value"]) if one not in served["enum"])
    for bound in MOST:
        if bound in served and needed.get(bound, float("inf")) > served[bound]:
            yield f"{place} beyond {bound} {served[bound]}"
    for name, child in needed.get("properties", {}).items():
        yield from _field(child, served, name, f"{place}.{name}")
    if "items" in needed:
        yield from _value(needed["items"], served.get("items", {}), f"{place}[]")
