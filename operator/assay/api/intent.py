"""Intent: what a person asks of a rollout, in `spec` so that Git can say it, and what became of it, in `status`."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from assay.api.base import Flag, Model, Revision, Text, Time
from assay.api.rules import Matches

WISH = "([0-9a-f]{8}(-[1-9][0-9]{0,3})?)?"

Wish = Annotated[
    str,
    Field(max_length=13),
    Matches(
        WISH,
        'must be empty or a revision as status names it, 8 hex digits in quotes, such as "1a2b3c4d"; a number makes it'
        ' a new wish, such as "1a2b3c4d-2"',
    ),
]


class Intent(Model):
    """What a person asks of a rollout; a wish names its revision, acts once, and may stay in Git afterwards."""

    paused: Flag = False
    """Begin no rollout, and let the present one gain no weight and not be promoted; harm still rolls back, and the deadline waits. Default false."""
    promote: Wish = ""
    """Promote this candidate now, whatever the steps and the evidence, unless a required check says Fail."""
    abort: Wish = ""
    """Roll this candidate back now, and refuse it from then on as if it had failed."""
    retry: Wish = ""
    """Lift the quarantine of this revision, so that it may be tried once more."""


class IntentName(StrEnum):
    """What was asked, as the record names it."""

    PAUSE = "Pause"
    RESUME = "Resume"
    PROMOTE = "Promote"
    ABORT = "Abort"
    RETRY = "Retry"


class WishState(StrEnum):
    """What became of a wish."""

    WAITING = "Waiting"  # it acts as soon as it can
    UNKNOWN = "Unknown"  # it names no revision that Assay knows
    ACTED = "Acted"  # spent: it has acted, and never does again
    LAPSED = "Lapsed"  # spent: its moment was over before it could act


class WishStatus(Model):
    """A wish that stands in spec, and what became of it."""

    wish: Annotated[str, Field(max_length=13)]
    """The wish, as spec has it."""
    state: WishState
    """Waiting, Unknown, Acted or Lapsed; what has acted or lapsed is spent until the field is changed."""
    message: Text = ""
    """What it waits for, what it did, or why it will not act, in one sentence."""


class IntentStatus(Model):
    """What became of spec.intent."""

    paused_time: Time | None = None
    """Since when spec.intent.paused is known to be true; absent while it is false."""
    promote: WishStatus | None = None
    """What became of spec.intent.promote."""
    abort: WishStatus | None = None
    """What became of spec.intent.abort."""
    retry: WishStatus | None = None
    """What became of spec.intent.retry."""


class IntentEntry(Model):
    """An intent that acted."""

    name: IntentName
    """Pause, Resume, Promote, Abort or Retry."""
    revision: Revision | None = None
    """The revision that it acted on; absent where a pause found no rollout."""
    time: Time
    """When it acted."""
    message: Text = ""
    """What it did, in one sentence."""
