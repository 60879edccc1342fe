"""The work queue and its workers, with threads."""

import random
import threading

from assay.app.queue import Again, Workers, WorkQueue


def test_stopping_sends_waiting_workers_home() -> None:
    queue: WorkQueue[str] = WorkQueue()
    ended: list[str | None] = []
    thread = threading.Thread(target=lambda: ended.append(queue.take()))
    thread.start()

    queue.stop()
    thread.join(5)

    assert ended == [None]


def test_many_threads_never_share_a_key_and_lose_no_wish() -> None:
    queue: WorkQueue[int] = WorkQueue()
    busy: set[int] = set()
    clashes: list[int] = []
    lock = threading.Lock()
    seen: dict[int, int] = {}
    wanted = dict.fromkeys(range(7), 0)
    finished = threading.Event()

    def run(key: int) -> Again:
        with lock:
            if key in busy:
                clashes.append(key)
            busy.add(key)
            seen[key] = wanted[key]
        with lock:
            busy.discard(key)
            if seen == wanted and all(count == 300 for count in wanted.values()):
                finished.set()
        return Again(after=None)

    def ask(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - no secret
        for _ in range(525):
            with lock:
                open_keys = [key for key, count in wanted.items() if count < 300]
                if not open_keys:
                    return
                key = dice.choice(open_keys)
                wanted[key] += 1
            queue.add(key, urgent=dice.random() < 0.2)

    workers = Workers(queue, run, 6)
    workers.start()
    askers = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()

    assert finished.wait(20)
    assert workers.stop(5)
    assert clashes == []


def test_workers_end_the_key_they_are_at_before_they_stop() -> None:
    queue: WorkQueue[str] = WorkQueue()
    entered, leave = threading.Event(), threading.Event()
    ended: list[str] = []

    def run(key: str) -> Again:
        entered.set()
        leave.wait(5)
        ended.append(key)
        return Again(after=None)

    workers = Workers(queue, run, 1)
    workers.start()
    queue.add("a")
    entered.wait(5)
    queue.stop()
    leave.set()

    assert workers.stop(5)
    assert ended == ["a"]
