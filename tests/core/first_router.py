"""What does a router of release 0.1.0 take for a split? Frozen: a copy of its model, which imports nothing of today's."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Integer = Annotated[int, Field(strict=True)]
Percent = Annotated[Integer, Field(ge=0, le=100)]
Revision = Annotated[str, Field(pattern="^[0-9a-f]{8}$", max_length=8)]
HeaderName = Annotated[str, Field(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=64)]


class Strict(BaseModel):
    """Refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Backend(Strict):
    """One live revision."""

    revision: Revision
    weight: Percent


class Split(Strict):
    """The whole of what a router must know."""

    deployment: str
    generation: Annotated[int, Field(ge=1, lt=10**12)]
    backends: Annotated[tuple[Backend, ...], Field(max_length=4)] = ()
    sticky_header: HeaderName | None = None
    salt: str = ""
    allow_revision_header: bool = False
    timeout_seconds: int = 60

    @model_validator(mode="after")
    def _weights_and_revisions(self) -> "Split":
        if self.backends and sum(backend.weight for backend in self.backends) != 100:
            raise ValueError("the weights must sum to 100")
        if len({backend.revision for backend in self.backends}) < len(self.backends):
            raise ValueError("a revision is listed twice")
        return self


def reads(text: str, deployment: str) -> bool:
    """Return whether a router of the deployment carries this split out.

    Raises:
        ValidationError: It refuses the split, and goes on with the one before.
    """
    return Split.model_validate_json(text).deployment == deployment
