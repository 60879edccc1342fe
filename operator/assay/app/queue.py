"""Which object is looked at next, when, and by whom?

    add ──> waiting (a heap by due time) ──> ready (urgent first, then first come) ──> running ──> done
                 ^                                                                       |
                 └────────────── again later, or after a backoff where it failed ────────┘

A key is in the queue at most once and with one worker at most; what is added while it runs is remembered and merged
when it is done. Every fourth key that is handed out is one that is not urgent, if any waits: many urgent ones must not
keep the others waiting for ever. Nothing here knows what a key stands for, except that it can be hashed.
"""

import heapq
import itertools
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

FIRST_BACKOFF = 1.0
LAST_BACKOFF = 300.0
FAIR = 4  # of so many keys handed out, one is not urgent

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Entry:
    """What is known of one key."""

    due: float = math.inf  # when it is to run next; infinite while it is running and nobody asked again
    urgent: bool = False
    running: bool = False
    ran_urgent: bool = False  # whether the present run is urgent; a failure keeps it so
    failures: int = 0
    not_before: float = -math.inf  # a key that failed is not run again at once, whoever asks


@dataclass(frozen=True, slots=True)
class Again:
    """How a run ended that did not fail."""

    after: float | None
    """Seconds until the next run; None to forget the key."""
    urgent: bool = False


class WorkQueue(Generic[K]):
    """A queue of keys with due times; all methods may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, dice: Callable[[], float] = random.random) -> None:
        """Start empty.

        Args:
            clock: Seconds that never go back.
            dice: Numbers in [0, 1), for jitter.
        """
        self._clock = clock
        self._dice = dice
        self._entries: dict[K, _Entry] = {}
        self._waiting: list[tuple[float, int, K]] = []  # may hold outdated lines; an entry's `due` is the truth
        self._ready: tuple[deque[K], deque[K]] = (deque(), deque())  # urgent, ordinary
        self._count = itertools.count()
        self._handed_out = 0
        self._stopped = False
        self._changed = threading.Condition()

    def add(self, key: K, after: float = 0.0, *, urgent: bool = False) -> None:
        """Ask for a key to be run in `after` seconds; of two wishes the earlier one counts."""
        with self._changed:
            entry = self._entries.setdefault(key, _Entry())
            self._schedule(key, entry, max(self._clock() + after, entry.not_before), urgent=urgent)
            self._changed.notify()

    def take(self, timeout: float | None = None) -> K | None:
        """Wait for a key that is due and hand it out; None once stopped, or when `timeout` seconds are over."""
        deadline = math.inf if timeout is None else self._clock() + timeout
        with self._changed:
            while not self._stopped:
                now = self._clock()
                self._promote(now)
                key = self._next_ready(now)
                if key is not None:
                    entry = self._entries[key]
                    entry.running, entry.ran_urgent = True, entry.urgent
                    entry.due, entry.urgent = math.inf, False
                    return key
                if now >= deadline:
                    return None
                due = self._waiting[0][0] if self._waiting else math.inf
                wait = min(due, deadline) - now
                self._changed.wait(None if math.isinf(wait) else wait)
            return None

    def done(self, key: K, again: Again) -> None:
        """Give a key back that was run without failure."""
        with self._changed:
            entry = self._entries[key]
            entry.running, entry.failures, entry.not_before = False, 0, -math.inf
            if again.after is None and math.isinf(entry.due):
                del self._entries[key]
                return
            after = math.inf if again.after is None else again.after
            self._requeue(key, entry, self._clock() + after, urgent=again.urgent)

    def failed(self, key: K) -> float:
        """Give a key back whose run failed; return the seconds until it is run again: 1, 2, 4 ... 300, with jitter."""
        with self._changed:
            entry = self._entries[key]
            entry.running = False
            entry.failures += 1
            # Full doubling would overflow a float after a thousand failures; the cap is reached after nine.
            bare = min(FIRST_BACKOFF * 2.0 ** min(entry.failures - 1, 16), LAST_BACKOFF)
            delay = min(LAST_BACKOFF, max(FIRST_BACKOFF, bare * (0.75 + 0.5 * self._dice())))
            now = self._clock()
            entry.not_before = now + FIRST_BACKOFF
            entry.due = max(entry.due, entry.not_before)
            self._requeue(key, entry, now + delay, urgent=entry.ran_urgent)
            return delay

    def stop(self) -> None:
        """Hand out nothing more; who waits gets None."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def __len__(self) -> int:
        """Return how many keys are due now and wait for a worker."""
        return self._due_now()[0]

    def known(self) -> set[K]:
        """Return all keys that are waiting, ready or running."""
        with self._changed:
            return set(self._entries)

    def lag(self) -> float:
        """Return for how many seconds the oldest due key has been waiting."""
        return self._due_now()[1]

    def _due_now(self) -> tuple[int, float]:
        with self._changed:
            now = self._clock()
            late = [now - entry.due for entry in self._entries.values() if not entry.running and entry.due <= now]
            return len(late), max(late, default=0.0)

    def _requeue(self, key: K, entry: _Entry, due: float, *, urgent: bool) -> None:
        """Bring a key back whose run is over; what was asked for meanwhile counts too."""
        due, entry.due = min(due, entry.due), math.inf
        self._schedule(key, entry, due, urgent=urgent)
        self._changed.notify()

    def _schedule(self, key: K, entry: _Entry, due: float, *, urgent: bool) -> None:
        """Note a wish; only one that is earlier or more urgent than the last needs a line in the heap."""
        news = due < entry.due or (urgent and not entry.urgent)
        entry.due = min(due, entry.due)
        entry.urgent |= urgent
        if news:
            heapq.heappush(self._waiting, (entry.due, next(self._count), key))

    def _promote(self, now: float) -> None:
        """Move what is due from the heap to the ready lines."""
        while self._waiting and self._waiting[0][0] <= now:
            due, _, key = heapq.heappop(self._waiting)
            entry = self._entries.get(key)
            if entry is not None and not entry.running and entry.due == due:
                self._ready[0 if entry.urgent else 1].append(key)

    def _next_ready(self, now: float) -> K | None:
        """Return the next key that still wants to run; a key can stand in both lines, and then runs once."""
        fair = self._handed_out % FAIR == FAIR - 1
        for line in reversed(self._ready) if fair else self._ready:
            while line:
                key = line.popleft()
                entry = self._entries.get(key)
                if entry is not None and not entry.running and entry.due <= now:
                    self._handed_out += 1
                    return key
        return None


class Workers(Generic[K]):
    """Threads that run one function on the keys of a queue."""

    def __init__(self, queue: WorkQueue[K], run: Callable[[K], Again | None], count: int) -> None:
        """Prepare.

        Args:
            queue: Where the keys come from.
            run: Looks after one key; None means that it failed and is to be tried again after a backoff.
            count: Number of threads.
        """
        self._queue = queue
        self._run = run
        # Daemons: a call that hangs until its timeout must not hold up the end of the process.
        self._threads = [threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(count)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> bool:
        """Let each worker end the key it is at; return whether all did within `timeout` seconds."""
        self._queue.stop()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def alive(self) -> bool:
        """Return whether every worker is still there."""
        return all(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (key := self._queue.take()) is not None:
            again = self._run(key)
            if again is None:
                self._queue.failed(key)
            else:
                self._queue.done(key, again)
