"""A ModelDeployment deleted at any moment of a rollout leaves nothing behind."""

from collections.abc import Callable

import pytest

from app.release import Release
from app.scene import KEY, RESOURCE
from app.test_every_call import STORIES
from assay.adapters.memory import Crash
from assay.api.modeldeployment import Stage
from assay.app.queue import Again
from assay.app.reconcile import reconcile

pytestmark = pytest.mark.exhaustive


def deletes(release: Release, *, waits: bool) -> None:
    """Let a user delete it: in the background, or in the foreground, which waits for the children."""
    raw = release.cluster.objects("ModelDeployment")["flights"]
    if waits:
        release.cluster.create({**raw, "metadata": {**raw["metadata"], "finalizers": ["foregroundDeletion"]}})
    release.cluster.delete(RESOURCE, "shop", raw["metadata"]["uid"])


def collected(release: Release) -> set[tuple[str, str]]:
    """Return what is left after Kubernetes has collected what belongs to nobody that is still there; pods go with theirs."""
    there = {one["metadata"]["uid"] for one in release.cluster._objects.values()}
    left = set()
    for (ref, _), one in release.cluster._objects.items():
        owners = [owner["uid"] for owner in one["metadata"].get("ownerReferences", [])]
        if not owners or set(owners) & there:
            left.add((ref.kind, ref.name))
    return left


def in_the_middle(release: Release, call: int, deed: Callable[[], None], *, killed: bool) -> None:
    """Run a round in which something happens just before a call, and which then is the operator's last, or goes on."""
    before, made = release.cluster._call, iter(range(1, 1000))

    def listening(verb: str, ref: object, effect: object) -> object:
        if next(made) == call:
            release.cluster._call = before  # type: ignore[method-assign]
            deed()
            if killed:
                raise Crash
        return before(verb, ref, effect)  # type: ignore[arg-type]

    release.cluster._call = listening  # type: ignore[assignment, method-assign]
    release.round()
    if release.cluster.__dict__.pop("_call", before) is listening:
        deed()  # the round had fewer calls


@pytest.mark.reliability(trouble="deletion", stage=list(Stage), outcome="nothing of it is left")
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("story", ["promoted", "rolled back"])
def test_deleted_at_any_call_it_leaves_nothing_and_makes_nothing_again(
    story: str,
    waits: bool,  # noqa: FBT001 - drawn
    killed: bool,  # noqa: FBT001 - drawn
) -> None:
    changes, _ = STORIES[story]
    release = Release(*changes)
    release.user_acts()
    while not release.rests():
        undisturbed = release.fork()
        undisturbed.passes(undisturbed.round())
        for call in range(1, len(undisturbed.cluster.calls) - len(release.cluster.calls) + 2):
            other = release.fork()
            in_the_middle(other, call, lambda it=other: deletes(it, waits=waits), killed=killed)  # type: ignore[misc]
            before = len(other.cluster.calls)

            assert reconcile(KEY, other.world) == Again(after=None)

            assert [verb for verb, _ in other.cluster.calls[before:]] == ["get"]
            if waits:
                raw = other.cluster.objects("ModelDeployment")["flights"]
                other.cluster.create({**raw, "metadata": {**raw["metadata"], "finalizers": []}})
            assert collected(other) == set()
        release = undisturbed
