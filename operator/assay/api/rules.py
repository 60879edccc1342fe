"""What makes a value valid, said once and held twice: by the API server (CEL) and by pydantic."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

CEL = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule about several fields of one object."""

    message: str
    """One sentence: which fields, and what would be right."""
    cel: str
    """The rule as the API server evaluates it, after defaulting; `self` is the object."""
    holds: Callable[[Any], bool]
    """The same rule for the pydantic model, which an operator that meets an older schema relies on."""

    def to_schema(self) -> dict[str, str]:
        """Return an entry of `x-kubernetes-validations`."""
        return {"rule": self.cel, "message": self.message}


@dataclass(frozen=True, slots=True)
class Matches:
    """Annotation of a string that must match a pattern, because `pattern` alone would answer with the pattern."""

    pattern: str
    """A regular expression that means the same in RE2 and in Python, without backslashes; the whole string must match."""
    message: str
    """Begins with `must be`, and gives an example."""

    def check(self, value: str) -> str:
        """Return the value, or raise the sentence."""
        if re.fullmatch(self.pattern, value) is None:
            raise ValueError(self.message)
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        rule = f"self.matches('^{self.pattern}$')"
        return handler(core) | {CEL: [{"rule": rule, "message": self.message}]}


@dataclass(frozen=True, slots=True)
class KeysMatch:
    """Annotation of a map whose keys must match a pattern and be short."""

    pattern: str
    longest: int
    message: str

    def check(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return the map, or raise the sentence."""
        if any(len(key) > self.longest or re.fullmatch(self.pattern, key) is None for key in value):
            raise ValueError(self.message)
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        # The pattern is anchored, so a length of its own would cost the server a second pass over every key.
        rule = f"self.all(key, size(key) <= {self.longest} && key.matches('^{self.pattern}$'))"
        return handler(core) | {CEL: [{"rule": rule, "message": self.message}]}


@dataclass(frozen=True, slots=True)
class NamedList:
    """Annotation of a list whose members are told apart by one field, which server-side apply merges by."""

    key: str

    def check(self, value: list[Any]) -> list[Any]:
        """Return the list, or raise a sentence that names what occurs twice."""
        names = [getattr(member, self.key) for member in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"must have unique members: the {self.key} {twice[0]} occurs twice")
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(core) | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}
