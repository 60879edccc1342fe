"""The split: which revision gets which share of the traffic. Written by the operator, carried out by the router."""

from typing import Annotated

from pydantic import Field, model_validator

from assay.api.base import Model, Percent, Revision
from assay.api.serving import HeaderName

LARGEST_GENERATION = 10**12 - 10**6  # what is greater was written by a hand, and would leave no room for the next ones


class Backend(Model):
    """One live revision."""

    revision: Revision
    """The revision; its endpoints are those of the headless Service `<deployment>-<revision>`."""
    weight: Percent
    """Percent of the traffic. A revision at 0 is reachable by header only."""


class Split(Model):
    """The whole of what a router must know."""

    deployment: str
    """Name of the ModelDeployment."""
    generation: Annotated[int, Field(ge=1, lt=10**12)]
    """Grows with each change; a router reports the one that it has applied."""
    backends: Annotated[tuple[Backend, ...], Field(max_length=4)] = ()
    """Candidate first, so that a growing weight moves users one way only. Weights sum to 100, or there are none."""
    sticky_header: HeaderName | None = None
    """Header that names a user."""
    salt: str = ""
    """Mixed into the user's id, so that two rollouts do not choose the same users."""
    allow_revision_header: bool = False
    """Whether callers may choose a revision."""
    timeout_seconds: int = 60
    """How long one request may take."""

    @model_validator(mode="after")
    def _weights_sum_to_100(self) -> "Split":
        total = sum(backend.weight for backend in self.backends)
        if self.backends and total != 100:  # noqa: PLR2004 - percent
            raise ValueError(f"backends: the weights must sum to 100, not {total}")
        return self
