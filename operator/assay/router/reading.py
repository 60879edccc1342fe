"""What do the ConfigMap and the EndpointSlices say, and is it something that this router can carry out exactly?"""

from collections.abc import Iterable, Mapping, Sequence

from pydantic import ValidationError

from assay.api.base import Manifest
from assay.core.errors import InvalidSpec
from assay.core.names import CONFIG_MAP, REVISION_LABEL, SPLIT_KEY
from assay.core.split import Split
from assay.router.layout import Endpoint

SERVING_PORT = "http"  # the port that is used where a Service has several


def read_split(config_maps: Sequence[Manifest], deployment: str) -> Split:
    """Return the split of the ConfigMap, which is the only one in the list.

    Raises:
        InvalidSpec: it holds none, or one that this router cannot carry out exactly; fields that it does not know
            included, for they may ask for something that would then silently not happen.
    """
    name = CONFIG_MAP.format(name=deployment)
    if not config_maps:
        raise InvalidSpec(f"ConfigMap {name} is missing.")
    text = (config_maps[0].get("data") or {}).get(SPLIT_KEY)
    if text is None:
        raise InvalidSpec(f"ConfigMap {name}: the key {SPLIT_KEY} is missing.")
    try:
        split = Split.model_validate_json(text, extra="forbid")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise InvalidSpec(
            f"ConfigMap {name}, {SPLIT_KEY}: {where}: {first['msg'].removeprefix('Value error, ')}."
        ) from error
    if split.deployment != deployment:
        raise InvalidSpec(
            f"ConfigMap {name}, {SPLIT_KEY}: deployment: is {split.deployment!r}, must be {deployment!r}."
        )
    revisions = [backend.revision for backend in split.backends]
    if len(set(revisions)) < len(revisions):
        raise InvalidSpec(
            f"ConfigMap {name}, {SPLIT_KEY}: backends: a revision is listed twice: {', '.join(revisions)}."
        )
    return split


def read_replicas(slices: Iterable[Manifest]) -> dict[str, tuple[Endpoint, ...]]:
    """Return the ready replicas of each revision, sorted; slices of Services without the revision label are not ours."""
    found: dict[str, set[Endpoint]] = {}
    for manifest in slices:
        revision = (manifest.get("metadata", {}).get("labels") or {}).get(REVISION_LABEL)
        if revision is not None:
            found.setdefault(revision, set()).update(_ready(manifest))
    return {revision: tuple(sorted(replicas)) for revision, replicas in found.items()}


def _ready(manifest: Manifest) -> Iterable[Endpoint]:
    port = _port(manifest.get("ports") or [])
    if port is None or manifest.get("addressType") not in ("IPv4", "IPv6"):
        return
    for endpoint in manifest.get("endpoints") or []:
        # The API says: a missing condition is to be understood as ready.
        if (endpoint.get("conditions") or {}).get("ready") is not False:
            yield Endpoint(endpoint["addresses"][0], port)


def _port(ports: list[Mapping[str, object]]) -> int | None:
    chosen = ports if len(ports) == 1 else [port for port in ports if port.get("name") == SERVING_PORT]
    number = chosen[0].get("port") if chosen else None
    return number if isinstance(number, int) else None
