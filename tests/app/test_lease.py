"""Of several operators one works."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.leases import QUICK, MemoryLease
from assay.app.lease import Lease, Terms
from assay.core.errors import ApiUnavailable

AWAY = ApiUnavailable("The API server did not answer.")


class Time:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def shifted(self, by: float) -> Callable[[], float]:
        return lambda: self.now + by


@pytest.fixture
def store() -> MemoryLease:
    return MemoryLease()


@pytest.fixture
def time() -> Time:
    return Time()


def test_the_first_takes_it_and_the_second_stands_by_while_it_is_renewed(store: MemoryLease, time: Time) -> None:
    a, b = (store.contender(name, terms=Terms(), clock=time.shifted(0)) for name in "ab")

    assert a.attempt()
    for _ in range(20):
        time.now += 2
        assert not b.attempt()
        assert b.holder == "a"
        assert a.attempt()


def test_it_is_taken_when_it_was_seen_unchanged_for_its_duration_and_not_a_moment_before(
    store: MemoryLease, time: Time
) -> None:
    a, b = (store.contender(name, terms=Terms(), clock=time.shifted(0)) for name in "ab")
    a.attempt()
    time.now = 100  # b was not there meanwhile: it has seen nothing yet
    assert not b.attempt()

    time.now += 14.9
    assert not b.attempt()
    time.now += 0.1
    assert b.attempt()
    assert (store.holder, store.spec and store.spec["leaseTransitions"]) == ("b", 2)


def test_the_holder_started_again_under_its_name_goes_on_at_once(store: MemoryLease, time: Time) -> None:
    assert store.contender("a", clock=time.shifted(0)).attempt()

    again = store.contender("a", clock=time.shifted(-1000))

    assert again.attempt()
    assert store.spec is not None
    assert store.spec["leaseTransitions"] == 1


def test_who_was_slower_stands_by(store: MemoryLease) -> None:
    a, b = store.contender("a"), store.contender("b")

    calls = iter(range(4))

    def b_is_faster() -> None:
        if next(calls) == 1:  # a has read
            store.between = lambda: None
            assert b.attempt()

    store.between = b_is_faster

    assert not a.attempt()
    assert store.holder == "b"


def test_the_lease_says_what_people_and_other_tools_read_in_it(store: MemoryLease) -> None:
    store.contender("a", terms=Terms()).attempt()

    assert store.spec == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2013-01-01T00:00:00.000000Z",
        "renewTime": "2013-01-01T00:00:00.000000Z",
        "leaseTransitions": 1,
    }


SECONDS = st.sampled_from([0.0, 0.0, 0.0, 2.0, 6.0, 9.9, 15.0, 16.0])
DELAYS = st.lists(SECONDS, min_size=4, max_size=4)
"""Seconds before and after the read, and before and after the write, of an attempt."""


@example(  # the holder renews while the read of another is under way
    skews=[0.0, 0.0, 0.0],
    steps=[(0, 0.0, [0.0] * 4, None, True), (1, 0.0, [16.0, 0.0, 0.0, 0.0], 0, True), (1, 0.0, [0.0] * 4, None, True)],
)
@example(  # another sees the renewal long before its answer comes
    skews=[0.0, 0.0, 0.0],
    steps=[(0, 0.0, [0.0, 0.0, 0.0, 16.0], 1, True)],
)
@given(
    skews=st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
    steps=st.lists(
        st.tuples(st.integers(0, 2), SECONDS, DELAYS, st.none() | st.integers(0, 2), st.booleans()),
        max_size=20,
    ),
)
def test_no_two_believe_that_they_hold_it_whatever_their_clocks_say_and_however_long_calls_take(
    skews: list[float], steps: list[tuple[int, float, list[float], int | None, bool]]
) -> None:
    store, time = MemoryLease(), Time()
    contenders = [
        store.contender(str(number), terms=Terms(), clock=time.shifted(skew)) for number, skew in enumerate(skews)
    ]

    def attempt(one: Lease, delays: list[float], other: Lease | None, answered: bool) -> None:  # noqa: FBT001 - drawn
        """Let one contender try, with calls that take long, and another one in the middle of them."""
        left = iter(delays)

        def passes() -> None:
            delay = next(left, 0.0)
            for part in (0.0, delay):
                time.now += part
                if delay and other is not None and other is not one:
                    store.between = lambda: None
                    other.attempt()
                    store.between = passes

        store.between, before = passes, one._until
        one.attempt()
        store.between = lambda: None
        if not answered:
            one._until = before  # it was written, but the answer was lost

    for who, wait, delays, other, answered in steps:
        time.now += wait
        attempt(contenders[who], delays, None if other is None else contenders[other], answered)
        believing = [one for one, skew in zip(contenders, skews, strict=True) if time.now + skew < one._until - 1e-6]
        assert len(believing) <= 1


class Losses:
    """What was said when a lease was lost."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._changed = threading.Event()

    def __call__(self, why: str) -> None:
        self.said.append(why)
        self._changed.set()

    def wait(self, seconds: float = 10.0) -> bool:
        return self._changed.wait(seconds)


@pytest.fixture
def lost() -> Losses:
    return Losses()


def test_while_it_is_kept_nobody_else_can_take_it_and_released_it_is_free_at_once(
    store: MemoryLease, lost: Losses
) -> None:
    a, b = store.contender("a"), store.contender("b")
    assert a.attempt()
    a.keep(lost)

    waits = threading.Event()
    for _ in range(20):
        assert not b.attempt()
        waits.wait(QUICK.lasts / 10)
    a.release()

    assert b.attempt()
    assert lost.said == []


def test_an_outage_that_is_shorter_than_the_deadline_costs_nothing(store: MemoryLease, lost: Losses) -> None:
    a = store.contender("a")
    a.attempt()
    a.keep(lost)
    store.away = AWAY
    assert not lost.wait(QUICK.renewed_within / 4)
    store.away = None

    assert not lost.wait(QUICK.renewed_within * 2)
    a.release()
    assert store.holder == ""


def test_it_is_lost_when_it_could_not_be_renewed_and_before_anybody_else_can_take_it(
    store: MemoryLease, lost: Losses
) -> None:
    a, b = store.contender("a"), store.contender("b")
    a.attempt()
    a.keep(lost)
    assert not b.attempt()
    store.away = AWAY

    assert lost.wait()
    store.away = None
    assert not b.attempt()
    assert lost.said == ["The lease could not be renewed for 0.4 s."]


def test_it_is_lost_in_time_when_a_call_never_ends(store: MemoryLease, lost: Losses) -> None:
    hangs = threading.Event()
    a = store.contender("a")
    a.attempt()

    def hang() -> None:
        hangs.wait(10)

    store.between = hang
    a.keep(lost)

    assert lost.wait(5)
    hangs.set()


def test_it_is_lost_at_once_when_somebody_else_has_it(store: MemoryLease, lost: Losses) -> None:
    a = store.contender("a", terms=Terms(lasts=15, renewed_within=10, retry=0.05))
    a.attempt()
    a.keep(lost)

    store.taken_by("somebody")

    assert lost.wait(5)
    assert lost.said == ["somebody has taken the lease."]


def test_what_cannot_be_released_ends_by_itself(store: MemoryLease, lost: Losses) -> None:
    a = store.contender("a")
    a.attempt()
    a.keep(lost)
    store.away = AWAY

    a.release()

    assert store.holder == "a"


def test_who_never_held_it_releases_nothing(store: MemoryLease) -> None:
    store.contender("a").attempt()

    store.contender("a").release()

    assert store.holder == "a"
