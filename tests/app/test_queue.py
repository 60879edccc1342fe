"""The work queue, with a clock of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from assay.app.queue import LAST_BACKOFF, Again, WorkQueue


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue[str]:
    return WorkQueue(clock, lambda: 0.5)


def drained(queue: WorkQueue[str]) -> list[str]:
    keys = []
    while (key := queue.take(timeout=0)) is not None:
        keys.append(key)
    return keys


def test_a_key_is_handed_out_once_however_often_it_was_added(queue: WorkQueue[str]) -> None:
    for _ in range(5):
        queue.add("a")

    assert drained(queue) == ["a"]


def test_a_key_is_handed_out_when_it_is_due_and_not_before(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a", after=10)

    clock.now = 9.9
    assert drained(queue) == []
    clock.now = 10.0
    assert drained(queue) == ["a"]


def test_of_two_wishes_the_earlier_counts(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a", after=10)
    queue.add("a", after=2)
    queue.add("a", after=20)

    clock.now = 2.0
    assert drained(queue) == ["a"]
    clock.now = 100.0
    assert drained(queue) == []


def test_urgent_keys_come_first_and_else_the_first_come_is_first_served(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "c"):
        queue.add(key)
    queue.add("d", urgent=True)

    assert drained(queue) == ["d", "a", "b", "c"]


def test_many_urgent_keys_do_not_keep_the_others_waiting_for_ever(queue: WorkQueue[str]) -> None:
    queue.add("ordinary")
    for number in range(1000):
        queue.add(f"urgent {number}", urgent=True)

    assert [queue.take(timeout=0) for _ in range(5)] == ["urgent 0", "urgent 1", "urgent 2", "ordinary", "urgent 3"]


def test_a_key_in_line_can_become_urgent(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "c"):
        queue.add(key)
    assert queue.take(timeout=0) == "a"
    queue.add("c", urgent=True)

    assert drained(queue) == ["c", "b"]


def test_a_key_that_is_added_while_it_runs_runs_once_more_afterwards(queue: WorkQueue[str]) -> None:
    queue.add("a")
    assert queue.take(timeout=0) == "a"
    queue.add("a")
    queue.add("a")

    assert drained(queue) == []
    queue.done("a", Again(after=60))
    assert drained(queue) == ["a"]


def test_a_key_comes_back_when_it_asked_to(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    queue.take(timeout=0)
    queue.done("a", Again(after=5))

    assert drained(queue) == []
    clock.now = 5.0
    assert drained(queue) == ["a"]


def test_a_key_that_is_done_with_is_forgotten(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.take(timeout=0)
    queue.done("a", Again(after=None))

    assert queue.known() == set()


def test_a_key_that_is_done_with_but_was_added_meanwhile_is_not_forgotten(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.take(timeout=0)
    queue.add("a")
    queue.done("a", Again(after=None))

    assert drained(queue) == ["a"]


def test_failures_come_back_after_1_2_4_seconds_and_never_later_than_300(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    delays = []
    for _ in range(12):
        assert queue.take(timeout=0) == "a"
        delays.append(queue.failed("a"))
        clock.now += delays[-1]

    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_success_ends_the_backoff(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    for _ in range(3):
        queue.take(timeout=0)
        clock.now += queue.failed("a")
    queue.take(timeout=0)
    queue.done("a", Again(after=0))
    queue.take(timeout=0)

    assert queue.failed("a") == 1


@given(st.integers(1, 3000), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_between_one_second_and_five_minutes(failures: int, dice: float) -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock, lambda: dice)
    queue.add("a")
    for _ in range(failures % 40):
        queue.take(timeout=0)
        delay = queue.failed("a")
        clock.now += delay
        assert 1 <= delay <= LAST_BACKOFF


def test_events_cannot_make_a_failing_key_spin(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    for _ in range(5):
        queue.take(timeout=0)
        clock.now += queue.failed("a")
    queue.take(timeout=0)
    queue.failed("a")
    queue.add("a")

    assert drained(queue) == []
    clock.now += 1.0
    assert drained(queue) == ["a"]


def test_an_urgent_key_that_failed_stays_urgent(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a", urgent=True)
    queue.take(timeout=0)
    queue.failed("a")
    queue.add("b", after=0.5)
    clock.now = 1.0

    assert drained(queue) == ["a", "b"]


def test_depth_and_lag_say_what_waits_and_for_how_long(queue: WorkQueue[str], clock: Clock) -> None:
    queue.add("a")
    queue.add("b", after=3)
    queue.add("c", after=100)
    clock.now = 5.0

    assert len(queue) == 2
    assert queue.lag() == 5.0
    drained(queue)
    assert (len(queue), queue.lag()) == (0, 0.0)


def test_repeated_events_do_not_grow_the_queue(queue: WorkQueue[str]) -> None:
    queue.add("a")
    for _ in range(1000):
        queue.add("a")
        queue.add("a", urgent=True)

    assert len(queue._waiting) <= 2


class Model(RuleBasedStateMachine):
    """The queue against its plainest description: a set of wishes with due times."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.queue: WorkQueue[str] = WorkQueue(self.clock, lambda: 0.5)
        self.due: dict[str, float] = {}
        self.running: set[str] = set()
        self.floor: dict[str, float] = {}

    @rule(key=st.sampled_from("abcd"), after=st.sampled_from([0.0, 0.5, 3.0]), urgent=st.booleans())
    def add(self, key: str, after: float, urgent: bool) -> None:  # noqa: FBT001 - drawn
        self.queue.add(key, after, urgent=urgent)
        wish = max(self.clock.now + after, self.floor.get(key, -1.0))
        self.due[key] = min(self.due.get(key, wish), wish)

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def take(self) -> None:
        ready = {key for key, due in self.due.items() if key not in self.running and due <= self.clock.now}
        key = self.queue.take(timeout=0)
        assert (key in ready) if ready else key is None
        if key is not None:
            self.running.add(key)
            del self.due[key]

    @precondition(lambda self: self.running)
    @rule(data=st.data(), after=st.sampled_from([None, 0.0, 5.0]))
    def done(self, data: st.DataObject, after: float | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.queue.done(key, Again(after=after))
        self.running.discard(key)
        self.floor.pop(key, None)
        if after is not None:
            self.due[key] = min(self.due.get(key, self.clock.now + after), self.clock.now + after)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running)))
        delay = self.queue.failed(key)
        self.running.discard(key)
        self.floor[key] = self.clock.now + 1.0
        wish = max(self.due.get(key, self.clock.now + delay), self.floor[key])
        self.due[key] = min(wish, self.clock.now + delay)

    @invariant()
    def depth_is_what_is_due(self) -> None:
        ready = [key for key, due in self.due.items() if key not in self.running and due <= self.clock.now]
        assert len(self.queue) == len(ready)


TestModel = Model.TestCase
