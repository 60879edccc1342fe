"""Two operators work at once, without any lease, and are interleaved at every call: nothing is done twice, and nothing is undone.

The schedule says whose next call it is. One may so lie still between two calls of a round while the other runs whole rounds
and the world goes on: what it then does, it does on what was so long ago.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.release import Release, Watched, holds, status_of
from app.scene import KEY
from app.test_every_call import STORIES
from assay.api.modeldeployment import Outcome, Stage
from assay.app.reconcile import reconcile
from assay.core.decision import Ref

pytestmark = pytest.mark.exhaustive

T = TypeVar("T")

TURNS: dict[int, Callable[[], None]] = {}
"""What each operator's thread does before a call: it waits."""


class Shared(Watched):
    """A cluster at each call of which an operator waits for its turn; and once traffic is taken back, it stays back."""

    def __init__(self) -> None:
        super().__init__()
        self.given_up: set[tuple[str, str]] = set()  # (revision, start of its rollout)

    def _call(self, verb: str, ref: Ref, effect: Callable[[], T]) -> T:
        TURNS.get(threading.get_ident(), lambda: None)()
        return super()._call(verb, ref, effect)

    def _check_split(self, before: dict[str, int], after: dict[str, int]) -> None:
        holds(sum(after.values()) in ((0, 100) if not before else (100,)), f"weights are {after}")
        state = status_of(self)
        candidate = state.candidate
        if candidate is None:
            allowed = state.stable is None or after.get(state.stable.revision) == 100
            holds(allowed, "traffic for a revision that is no candidate")
            return
        was, now = (one.get(candidate.revision, 0) for one in (before, after))
        rollout = candidate.revision, candidate.start_time
        if state.stage is Stage.ROLLING_BACK and now < was:
            self.given_up.add(rollout)
        holds(now <= was or rollout not in self.given_up, "traffic went back to a candidate that had been given up")
        holds(now < 100 or state.stage is Stage.PROMOTING, "all traffic moved before the promotion was on record")


class Operator:
    """An operator in a thread of its own, which makes a call whenever it is its turn."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._mine, self._theirs = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self.error: BaseException | None = None
        self.after = 0.0

    def waits(self) -> None:
        self._theirs.release()
        self._mine.acquire()

    def calls(self) -> bool:
        """Let it go on to its next call, or begin a round; return whether its round is over."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._round, daemon=True)
            self._thread.start()
        else:
            self._mine.release()
        self._theirs.acquire()
        if self.error is not None:
            raise self.error
        over = not self._running
        if over:
            self._thread.join()
            self._thread = None
        return over

    def _round(self) -> None:
        self._running = True
        TURNS[threading.get_ident()] = self.waits
        try:
            again = reconcile(KEY, self._release.world)
            self.after = 1.0 if again is None or again.after is None else min(max(again.after, 0.2), 5.0)
        except BaseException as error:  # noqa: BLE001 - raised again where it is seen
            self.error = error
        finally:
            del TURNS[threading.get_ident()]
            self._running = False
            self._theirs.release()


def begun(story: str) -> Release:
    """Return a story up to where v1 serves and the next revision is wanted."""
    changes, _ = STORIES[story]
    release = Release(*changes, cluster=Shared())
    release.user_acts()
    while len(release.changes) == len(changes) - 1:
        release.passes(release.round())
    return release


def played(story: str, schedule: list[tuple[int, int]]) -> Release:
    """Play a story with two operators.

    Args:
        story: Which.
        schedule: (who, how many calls); when it is over, the two take turns call by call.
    """
    release = begun(story)
    operators = Operator(release), Operator(release)
    turns = iter(one for who, calls in schedule for one in [who] * calls)
    for number in range(20_000):
        who = next(turns, number % 2)
        if operators[who].calls():
            release.passes(operators[who].after / 2)
            if release.rests():
                return release
    pytest.fail(f"did not come to rest: {release.state().to_manifest()}")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


STILL = st.integers(1, 25) | st.integers(25, 400)
SCHEDULES = st.lists(st.tuples(st.integers(0, 1), STILL), max_size=30)


@pytest.mark.reliability(
    trouble="two operators at once, in any order",
    stage=[Stage.PREPARING, Stage.ANALYSING, Stage.PROMOTING, Stage.ROLLING_BACK],
    outcome="nothing twice, nothing undone",
)
@pytest.mark.parametrize("story", ["promoted", "rolled back", "forward, further and back again"])
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedule=SCHEDULES)
def test_two_operators_at_once_end_the_story_once(story: str, schedule: list[tuple[int, int]]) -> None:
    release = played(story, schedule)

    assert [outcome for _, outcome in release.story()] == STORIES[story][1]
    (revision,) = release.serving()
    assert release.weights() == {revision: 100}
    told = [note.reason for _, note in release.cluster.events]
    for outcome in (Outcome.PROMOTED, Outcome.ROLLED_BACK):
        assert told.count(outcome.value) == STORIES[story][1].count(outcome)


@pytest.mark.reliability(
    trouble="two operators at once, in any order",
    stage=[Stage.PREPARING, Stage.ANALYSING, Stage.PROMOTING, Stage.ROLLING_BACK],
    outcome="nothing twice, nothing undone",
)
@pytest.mark.parametrize("still", range(1, 30))
@pytest.mark.parametrize("stage", [Stage.PREPARING, Stage.ANALYSING])
def test_whoever_decided_before_a_rollback_and_acts_after_it_gives_no_traffic_back(stage: Stage, still: int) -> None:
    release = begun("rolled back")
    while not (release.state().stage is stage and len(release.watched.stored("Pod")) == 5):
        release.passes(release.round())
    slow, quick = Operator(release), Operator(release)

    over = False  # slow lies still before this call of its round
    for _ in range(still):
        over = over or slow.calls()
    while not release.rests():
        if quick.calls():
            release.passes(quick.after)
    while not over:
        over = slow.calls()
    release.settles()

    assert [outcome for _, outcome in release.story()] == [Outcome.ROLLED_BACK]
    (revision,) = release.serving()
    assert release.weights() == {revision: 100}
