"""How does a pydantic model become a structural OpenAPI schema, the only kind that a CRD may have?

pydantic writes `$ref`, `anyOf [.., null]`, `title`, `const` and `propertyNames`; a structural schema has none of them.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel

Schema: TypeAlias = dict[str, Any]

_DROPPED = {"$defs", "$ref", "anyOf", "allOf", "const", "propertyNames", "title"}
_FORMATS = {"integer": "int64", "number": "double"}
_FIRST = ("description", "type", "format", "enum", "default")
_LAST = ("required", "properties", "additionalProperties", "items", "x-kubernetes-validations")


def schema_of(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a model, defaults and descriptions included."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(schema, schema.get("$defs", {}))


def without_defaults(schema: Schema) -> Schema:
    """Return the schema without defaults: what programs write needs none, and the server must not invent any."""
    kept = {key: value for key, value in schema.items() if key != "default"}
    if "properties" in kept:
        kept["properties"] = {name: without_defaults(child) for name, child in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = without_defaults(kept["items"])
    return kept


def _structural(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    node = _inlined(node, definitions)
    schema = {key: value for key, value in node.items() if key not in _DROPPED}
    if "const" in node:
        schema["enum"] = [node["const"]]
    if "default" in schema:
        schema["default"] = _without_nulls(schema["default"])
        if schema["default"] is None:
            del schema["default"]
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    if "properties" in schema:
        schema["properties"] = {name: _structural(one, definitions) for name, one in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = _structural(schema["additionalProperties"], definitions)
    elif schema.pop("additionalProperties", None) is True:
        schema["x-kubernetes-preserve-unknown-fields"] = True
    if "items" in schema:
        schema["items"] = _structural(schema["items"], definitions)
        schema.setdefault("x-kubernetes-list-type", "atomic")
    if schema.get("type") in _FORMATS:
        schema.setdefault("format", _FORMATS[schema["type"]])
    return dict(sorted(schema.items(), key=_reading_order))


def _reading_order(entry: tuple[str, object]) -> tuple[int, int, str]:
    """Put what a field is first and what it contains last, as one reads."""
    key = entry[0]
    if key in _FIRST:
        return 0, _FIRST.index(key), ""
    return (2, _LAST.index(key), "") if key in _LAST else (1, 0, key)


def _inlined(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return the node with what it refers to laid under it, so that a field's own words win over its type's."""
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rpartition("/")[2]], definitions) | node
    if "anyOf" in node:
        (branch,) = (one for one in node["anyOf"] if one != {"type": "null"})
        return _inlined(branch, definitions) | node
    return node


def _without_nulls(value: object) -> object:
    match value:
        case dict():
            return {key: _without_nulls(one) for key, one in value.items() if one is not None}
        case list():
            return [_without_nulls(one) for one in value]
        case _:
            return value
