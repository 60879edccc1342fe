"""Whose state is this status, and what does it say in the words of this release?

`status.stateVersion` numbers what the state means. A new field with a default needs no new number: an older release drops
it, a newer one fills it in. A new number, with a step that leads to it, is needed where an older release would misread the
status: a field changed its meaning or went, or an enum got a value.
"""

from collections.abc import Callable, Sequence

from assay.api.base import Manifest
from assay.core.errors import NewerState

STEPS: tuple[Callable[[Manifest], Manifest], ...] = ()
"""The first step turns a status of version 1 into one of version 2, and so on."""


def migrated(status: Manifest, steps: Sequence[Callable[[Manifest], Manifest]] = STEPS) -> Manifest:
    """Return the status as this release would have written it.

    Args:
        status: As read from the API server; empty where there is none yet. What is no status at all is returned as it is:
            its model will refuse it.
        steps: As `STEPS`.

    Raises:
        NewerState: A newer release wrote it; nothing may be done, for nothing is known of what it means.
    """
    version, present = status.get("stateVersion", 1) if isinstance(status, dict) else None, 1 + len(steps)
    if type(version) is not int or version < 1:
        return status
    if version > present:
        raise NewerState(
            f"status.stateVersion: is {version}, and this release of Assay knows {present} at most."
            " Run the release that wrote it, or a newer one; until then traffic stays as it is."
        )
    for step in steps[version - 1 :]:
        status = step(status)
    return status | {"stateVersion": present} if status else status
