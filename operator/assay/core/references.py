"""Which ConfigMaps does a pod template name, without which its pods would never start?

Secrets are left out on purpose: to know whether one exists, the operator would have to be allowed to read them all.
Of a missing Secret the kubelet tells, in the status of the pods.
"""

from collections.abc import Iterator
from typing import Any

from assay.api.base import Manifest
from assay.core.decision import Ref


def references(template: Manifest) -> tuple[Ref, ...]:
    """Return the ConfigMaps that must exist, each once, in the order of their names; optional ones left out."""
    spec = template.get("spec")
    found = set(_walk(spec)) if isinstance(spec, dict) else set()
    return tuple(sorted(found, key=lambda ref: ref.name))


def _walk(spec: Manifest) -> Iterator[Ref]:
    for container in (*_dicts(spec.get("containers")), *_dicts(spec.get("initContainers"))):
        for variable in _dicts(container.get("env")):
            yield from _named(_dict(variable.get("valueFrom")).get("configMapKeyRef"))
        for source in _dicts(container.get("envFrom")):
            yield from _named(source.get("configMapRef"))
    for volume in _dicts(spec.get("volumes")):
        for source in (volume, *_dicts(_dict(volume.get("projected")).get("sources"))):
            yield from _named(source.get("configMap"))


def _named(source: Any) -> Iterator[Ref]:  # noqa: ANN401 - whatever the user wrote
    source = _dict(source)
    name = source.get("name")
    if isinstance(name, str) and name and source.get("optional") is not True:
        yield Ref("v1", "ConfigMap", name)


def _dicts(value: Any) -> list[Manifest]:  # noqa: ANN401
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _dict(value: Any) -> Manifest:  # noqa: ANN401
    return value if isinstance(value, dict) else {}
