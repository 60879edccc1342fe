"""Whole rollouts, in which each single call fails or is the operator's last, in each round: they end as if it had not been.

Each round is run once for each of its calls, each error, and each side of the deed. What matters of it is the world that it
leaves behind: where two leave the same world at the same time their futures are the same, and one is followed. Nothing is sampled.
"""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.release import Release, When
from assay.adapters.memory import Crash
from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeploymentStatus, Outcome, Stage
from assay.core.errors import ApiUnavailable, Conflict, Forbidden

pytestmark = pytest.mark.exhaustive

ERRORS: dict[str, Callable[[], BaseException]] = {
    "killed": Crash,
    "away": lambda: ApiUnavailable("The API server did not answer."),
    "conflict": lambda: Conflict("Somebody wrote."),
    "forbidden": lambda: Forbidden("May not do it."),
}
READS = {"get", "list"}
PROMOTED, ROLLED_BACK, SUPERSEDED = Outcome.PROMOTED, Outcome.ROLLED_BACK, Outcome.SUPERSEDED


def at_once(_: ModelDeploymentStatus) -> bool:
    return True


def at_rest(state: ModelDeploymentStatus) -> bool:
    return state.stage in {Stage.STABLE, Stage.ROLLED_BACK}


def tried(ended: int, step: int = 0) -> When:
    """Return whether a candidate has traffic at a step, after so many rollouts that ended."""
    return lambda state: (
        state.candidate is not None
        and (state.stage, state.candidate.step, len(state.history)) == (Stage.ANALYSING, step, ended)
    )


STORIES: dict[str, tuple[list[tuple[When, str]], list[Outcome]]] = {
    "the beginning": ([(at_once, "v1")], []),
    "promoted": ([(at_once, "v1"), (at_rest, "v2")], [PROMOTED]),
    "rolled back": ([(at_once, "v1"), (at_rest, "bad")], [ROLLED_BACK]),
    "superseded": (
        [(at_once, "v1"), (at_rest, "v2"), (tried(0, 1), "v3")],
        [SUPERSEDED, PROMOTED],
    ),
    "forward and back": ([(at_once, "v1"), (at_rest, "v2"), (tried(0, 1), "v1")], [SUPERSEDED]),
    "forward, further and back again": (
        [(at_once, "v1"), (at_rest, "v2"), (tried(0), "v3"), (tried(1), "v2")],
        [SUPERSEDED, SUPERSEDED, PROMOTED],
    ),
}


def print_of(release: Release) -> int:
    """Return a hash of all that the future depends on; identities and versions of objects are told apart only by name."""

    world = [
        sorted((place[0].kind, place[0].name, hash_of(one)) for place, one in kept.items())
        for kept in (release.cluster._objects, release.cluster._applied)
    ]
    measured = sorted((key, tuple(samples)) for key, samples in release.metrics._found.items())
    return hash((str(world), hash(tuple(measured)), release.clock, len(release.changes)))


HASHES: dict[int, tuple[Manifest, int]] = {}  # by identity, which is kept for as long as the object is kept here


def hash_of(stored: Manifest) -> int:
    """Return a hash of what an object says; what is stored is replaced and never changed, so each is read once."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: bare(one) for key, one in value.items() if key not in ("uid", "resourceVersion")}
        return [bare(one) for one in value] if isinstance(value, list) else value

    if id(stored) not in HASHES:
        HASHES[id(stored)] = stored, hash(json.dumps(bare(stored), sort_keys=True))
    return HASHES[id(stored)][1]


class Futures:
    """Follows worlds to their end, each only once."""

    def __init__(self, ending: Release) -> None:
        self._things, self._story = ending.things(), ending.story()
        self._serving = ending.serving()
        self._known: set[int] = set()
        self.followed = 0

    def follow(self, release: Release) -> None:
        self.followed += 1
        for _ in range(400):
            print_ = print_of(release)
            if print_ in self._known:
                return
            self._known.add(print_)
            release.passes(release.round())
            if release.rests():
                self._ends(release)
                return
        pytest.fail(f"did not come to rest: {release.state().to_manifest()}")

    def _ends(self, release: Release) -> None:
        (revision,) = release.serving()
        assert release.story() == self._story
        assert release.serving() == self._serving
        assert release.weights() == {revision: 100}
        assert release.things() == self._things, "something was left behind, or is missing"


def disturbed(release: Release, call: int, error: BaseException, *, done: bool) -> Release:
    """Return the release after a round in which one call went wrong."""
    other = release.fork()
    other.cluster.fail(call, error, done=done)
    after = other.round()
    other.cluster._troubles.clear()
    other.passes(after)
    return other


def told_apart(before: Release, after: Release) -> list[tuple[int, str]]:
    """Return number and verb of the calls of a round that are worth disturbing.

    These are all that changed the world or told a person, and of the others (reads, and writes of what is so already) the first
    ones, for these leave the same worlds behind: the second test sees to that.
    """
    made = after.cluster.calls[len(before.cluster.calls) :]
    numbered = [(number, verb) for number, (verb, _) in enumerate(made, 1)]
    changing = [
        one for one in numbered if len(before.cluster.calls) + one[0] in after.watched.changed or one[1] == "create"
    ]
    reads = [one for one in numbered if one[1] in READS]
    others = [one for one in numbered if one not in changing and one not in reads]
    return [*reads[:2], *others[:1], *changing]


def disturb(release: Release, number: int, verb: str, futures: Futures) -> None:
    """Let a call of the next round go wrong in every way."""
    for error in ERRORS.values():
        for done in (False,) if verb in READS else (False, True):
            futures.follow(disturbed(release, number, error(), done=done))


def ended(changes: list[tuple[When, str]]) -> Release:
    """Return how a story ends that nothing disturbs."""
    release = Release(*changes)
    release.user_acts()
    return release.settles()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of failures are logged, and nobody reads it."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.reliability(
    trouble="operator killed, refused, conflicted or cut off at any call", stage=list(Stage), outcome="same outcome"
)
@pytest.mark.parametrize("story", STORIES)
def test_whatever_happens_at_any_call_the_story_ends_the_same(story: str) -> None:
    changes, outcomes = STORIES[story]
    ending = ended(changes)
    assert [outcome for _, outcome in ending.story()] == outcomes
    futures, release = Futures(ending), Release(*changes)

    release.user_acts()
    while not release.rests():
        undisturbed = release.fork()
        undisturbed.passes(undisturbed.round())
        for number, verb in told_apart(release, undisturbed):
            disturb(release, number, verb, futures)
        release = undisturbed
        HASHES.clear()


def test_calls_that_are_not_disturbed_would_leave_the_same_worlds_behind() -> None:
    changes, _ = STORIES["promoted"]
    release = Release(*changes)
    release.user_acts()
    seen: set[Stage | None] = set()
    while not release.rests() or release.state().stage is None:
        undisturbed = release.fork()
        undisturbed.passes(undisturbed.round())
        if release.state().stage not in seen:
            seen.add(release.state().stage)
            worlds: tuple[set[int], set[int]] = set(), set()
            chosen = told_apart(release, undisturbed)
            made = undisturbed.cluster.calls[len(release.cluster.calls) :]
            for number, (verb, _about) in enumerate(made, 1):
                for error in ERRORS.values():
                    for done in (False,) if verb in READS else (False, True):
                        world = print_of(disturbed(release, number, error(), done=done))
                        worlds[(number, verb) in chosen].add(world)
            assert worlds[0] <= worlds[1]
        release = undisturbed
