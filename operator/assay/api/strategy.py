"""Strategy: how traffic moves from the stable revision to the candidate."""

from typing import Annotated

from pydantic import Field

from assay.api.base import Integer, Model, Seconds
from assay.api.rules import Rule


class Pause(Model):
    """A fixed pause at the current weight."""

    seconds: Annotated[Integer, Field(ge=1, le=2_592_000)]
    """How long to wait."""


class Step(Model):
    """One step of a canary: exactly one of weight or pause."""

    rules = (
        Rule(
            "must have exactly one of weight and pause",
            "has(self.weight) != has(self.pause)",
            lambda one: (one.weight is None) != (one.pause is None),
        ),
        Rule(
            "minSeconds and minRequests belong to a step with a weight; a pause has seconds",
            "!has(self.pause) || !(has(self.minSeconds) || has(self.minRequests))",
            lambda one: one.pause is None or (one.min_seconds is None and one.min_requests is None),
        ),
    )

    weight: Annotated[Integer, Field(ge=1, le=99)] | None = None
    """Percent of requests (of users, with a sticky header) that the candidate answers."""
    min_seconds: Seconds | None = None
    """Weight steps: stay at least this long. Default 60 s."""
    min_requests: Annotated[Integer, Field(ge=0, le=1_000_000_000)] | None = None
    """Weight steps: stay until the candidate has answered this many requests at this weight. Default 0."""
    pause: Pause | None = None
    """Wait at the current weight; harm is still watched."""


class Canary(Model):
    """Weight moves to the candidate in steps."""

    rules = (
        Rule(
            "steps must have at least one with a weight, at which promotion is decided",
            "self.steps.exists(step, has(step.weight))",
            lambda one: bool(one.weights),
        ),
        Rule(
            "weights of the steps must never fall: a rollback is Assay's to decide",
            "self.steps.filter(step, has(step.weight)).map(step, step.weight).isSorted()",
            lambda one: one.weights == sorted(one.weights),
        ),
    )

    steps: Annotated[list[Step], Field(min_length=1, max_length=20)]
    """The steps, in order; weights must not fall. Promotion is decided at the last weight step."""

    @property
    def weights(self) -> list[int]:
        """The weights of the weight steps, in order, in percent."""
        return [step.weight for step in self.steps if step.weight is not None]


class Strategy(Model):
    """How a new revision is released."""

    rules = (
        Rule(
            "must have exactly one strategy, and today canary is the only one",
            "has(self.canary)",
            lambda one: one.canary is not None,
        ),
    )

    canary: Canary | None = None
    """Weight moves in steps. Exactly one strategy must be set; today canary is the only one."""
