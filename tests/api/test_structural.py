"""A pydantic model becomes a schema in which the API server finds nothing that a CRD may not have."""

from typing import Literal

from pydantic import Field

from assay.api.base import Model
from assay.api.structural import schema_of, without_defaults


class Leaf(Model):
    """The type's words."""

    kind: Literal["Only"]
    """One value."""
    size: int = Field(default=3, ge=1)
    """How many."""


class Tree(Model):
    """A tree."""

    leaf: Leaf | None = None
    """The field's words."""
    leaves: list[Leaf] = []  # noqa: RUF012 - pydantic copies it
    """Some."""
    free: dict[str, object] = {}  # noqa: RUF012 - pydantic copies it
    """Whatever the user writes."""


def test_references_are_inlined_and_the_fields_words_win() -> None:
    leaf = schema_of(Tree)["properties"]["leaf"]

    assert leaf == {
        "description": "The field's words.",
        "type": "object",
        "required": ["kind"],
        "properties": {
            "kind": {"description": "One value.", "type": "string", "enum": ["Only"]},
            "size": {"description": "How many.", "type": "integer", "format": "int64", "default": 3, "minimum": 1},
        },
    }


def test_lists_say_how_they_are_merged_and_maps_of_anything_are_kept() -> None:
    properties = schema_of(Tree)["properties"]

    assert properties["leaves"]["x-kubernetes-list-type"] == "atomic"
    assert properties["leaves"]["items"]["description"] == "The type's words."
    assert properties["free"]["x-kubernetes-preserve-unknown-fields"]


def test_defaults_go_from_what_programs_write_at_every_depth() -> None:
    schema = without_defaults(schema_of(Tree))

    assert "default" not in schema["properties"]["leaves"]
    assert "default" not in schema["properties"]["leaves"]["items"]["properties"]["size"]
