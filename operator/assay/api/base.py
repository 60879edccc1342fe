"""The shapes that all resources share."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from assay.api.rules import CEL, Matches, NamedList, Rule

GROUP = "assay.dev"
VERSION = "v1alpha1"

Manifest: TypeAlias = dict[str, Any]

DECIMAL = "[0-9]{1,9}([.][0-9]{1,9})?"
NAME = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"

Flag = Annotated[bool, Field(strict=True)]
Integer = Annotated[int, Field(strict=True)]  # the API server takes no "3" for 3 either
Count = Annotated[Integer, Field(ge=0, le=2**53 - 1)]  # the largest integer that every JSON reader keeps exact
Seconds = Annotated[Integer, Field(ge=0, le=2_592_000)]
Percent = Annotated[Integer, Field(ge=0, le=100)]
Text = Annotated[str, Field(max_length=1024)]
Name = Annotated[
    str,
    Field(min_length=1, max_length=52),
    Matches(NAME, "must be lower-case letters, digits and dashes, such as error-ratio"),
]
# Decimals are strings, because the Kubernetes API conventions allow no floats in a spec.
Decimal = Annotated[str, Field(max_length=19), Matches(DECIMAL, 'must be a decimal in quotes, such as "0.10"')]
Fraction = Annotated[
    str, Field(max_length=11), Matches("(0([.][0-9]{1,9})?|1([.]0{1,9})?)",
                                       'must be a decimal in quotes from 0 to 1, such as "0.005"'),
]  # fmt: skip
Probability = Annotated[
    str, Field(max_length=11), Matches("0[.][0-9]*[1-9][0-9]*",
                                       'must be a decimal in quotes between 0 and 1, neither included, such as "0.05"'),
]  # fmt: skip
# Only programs write these, so the bare pattern may answer.
Revision = Annotated[str, Field(pattern="^[0-9a-f]{8}$", max_length=8)]


def _check_moment(text: str) -> str:
    """Return the text, or raise what `format: date-time` raises in the API server."""
    datetime.fromisoformat(text)
    return text


Time = Annotated[
    str,
    Field(
        # Years that every language can calculate with: Python knows no year 0, and none after 9999.
        pattern="^[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?Z$",
        max_length=32,
        json_schema_extra={"format": "date-time"},
    ),
    AfterValidator(_check_moment),
]


class Model(BaseModel):
    """A frozen value; an old operator ignores the fields of a newer release."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
    """What must hold between the fields; the CRD carries the same rules."""

    @model_validator(mode="after")
    def _keep_the_rules(self) -> Self:
        broken = [rule.message for rule in self.rules if not rule.holds(self)]
        if broken:
            raise ValueError("; ".join(broken))
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        reference = handler(core)
        if cls.rules:
            handler.resolve_ref_schema(reference)[CEL] = [rule.to_schema() for rule in cls.rules]
        return reference

    def to_manifest(self) -> Manifest:
        """Return the camelCase JSON of this value without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Verdict(StrEnum):
    """What a check says."""

    PASS = "Pass"  # noqa: S105 - no password; safety reached: a regression of `margin` is excluded
    FAIL = "Fail"  # harm reached: worse than `tolerance`
    UNDECIDED = "Undecided"  # measured, not enough evidence yet
    NO_DATA = "NoData"  # could not measure


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One aspect of the current state, as the Kubernetes API conventions describe it."""

    type: Annotated[str, Field(min_length=1, max_length=64)]
    """Name of the condition, for example Ready."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=64)]
    """One CamelCase word for machines."""
    message: Text = ""
    """One sentence for people: what is so, and what to do about it."""
    observed_generation: Count = 0
    """The generation of the spec that this was decided for."""
    last_transition_time: Time
    """When `status` last changed."""


Conditions = Annotated[list[Condition], Field(max_length=16), NamedList("type")]
