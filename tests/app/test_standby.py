"""The process as one of several: it stands by, takes over, lets go, and ends where it has lost the lease."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import kopf
import pytest

from app.leases import MemoryLease
from app.scene import Deployment, Scene
from assay.adapters.memory import MemoryCluster
from assay.api.modeldeployment import Stage
from assay.app.operator import Process
from assay.app.settings import Settings
from assay.core.errors import ApiUnavailable, Forbidden

SETTINGS = Settings(http_host="127.0.0.1", http_port=0, workers=1)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what is awaited happens in a thread
            await asyncio.sleep(0.01)


class Beside:
    """A process beside others, and what may happen while it watches."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scene = scene
        self.store = MemoryLease()
        self.ends: list[int] = []
        self.ended = asyncio.Event()
        self.watches = asyncio.Event()
        self.stops = asyncio.Event()
        self.process = Process(SETTINGS, scene.world, self.store.contender("me"), self._end)

        async def operator(**_: Any) -> None:
            self.watches.set()
            await self.stops.wait()

        monkeypatch.setattr(kopf, "operator", operator)

    def _end(self, code: int) -> None:
        self.ends.append(code)

    def plays(self, story: Callable[[], Awaitable[None]]) -> None:
        async def both() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.process.run())
                await story()
                self.stops.set()
                os.kill(os.getpid(), signal.SIGTERM)

        asyncio.run(asyncio.wait_for(both(), 20))

    def leads(self) -> bool:
        return b"assay_operator_leader 1.0" in self.scene.world.instruments.page()


@pytest.fixture
def beside(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Beside:
    return Beside(scene, monkeypatch)


def looked_only(cluster: MemoryCluster) -> bool:
    return {verb for verb, _ in cluster.calls} <= {"list"}


def test_while_another_holds_the_lease_it_is_ready_and_does_nothing(beside: Beside, deployment: Deployment) -> None:
    beside.scene.cluster.create(deployment())
    other = beside.store.contender("other")

    async def story() -> None:
        for _ in range(30):
            assert other.attempt()
            await asyncio.sleep(0.03)
        assert beside.process.unready() is None
        assert beside.process.unhealthy() is None
        assert not beside.watches.is_set()
        assert not beside.leads()
        assert looked_only(beside.scene.cluster)

    beside.plays(story)

    assert beside.store.holder == "other"
    assert beside.process.unready() == "Stopping."


def test_it_takes_over_when_the_other_is_heard_of_no_more(beside: Beside, deployment: Deployment) -> None:
    beside.scene.cluster.create(deployment())
    assert beside.store.contender("other").attempt()

    async def story() -> None:
        await until(lambda: beside.scene.status.stage is Stage.STABLE)
        assert beside.watches.is_set()
        assert beside.leads()
        assert beside.store.holder == "me"

    beside.plays(story)

    assert beside.store.holder == "", "asked to stop, it lets go of the lease"
    assert beside.ends == []


def test_it_ends_at_once_when_another_took_the_lease(beside: Beside) -> None:
    async def story() -> None:
        await asyncio.wait_for(beside.watches.wait(), 10)
        beside.store.taken_by("other")
        await until(lambda: beside.ends == [1])

    beside.plays(story)

    assert beside.store.holder == "other"


@pytest.mark.reliability(trouble="lease lost", stage="any", outcome="the operator ends and stands by")
def test_it_ends_when_the_lease_cannot_be_renewed(beside: Beside) -> None:
    async def story() -> None:
        await asyncio.wait_for(beside.watches.wait(), 10)
        beside.store.away = ApiUnavailable("The API server did not answer.")
        await until(lambda: beside.ends == [1])

    beside.plays(story)


def test_without_the_right_to_the_lease_it_is_not_ready_and_says_why(beside: Beside) -> None:
    beside.store.away = Forbidden("May not get leases: no.")

    async def story() -> None:
        await until(lambda: beside.process.unready() == "Could not ask for the lease: May not get leases: no.")
        beside.store.away = None
        await asyncio.wait_for(beside.watches.wait(), 10)
        assert beside.process.unready() is None

    beside.plays(story)


def test_a_worker_that_does_not_end_keeps_the_lease_from_being_given_away(
    beside: Beside, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.app.operator.STOP_SECONDS", 0.1)
    beside.scene.cluster.create(deployment())
    begun, go_on = asyncio.Event(), asyncio.Event()
    loop: list[asyncio.AbstractEventLoop] = []
    get = beside.scene.cluster.get

    def slow(*about: Any) -> Any:
        loop[0].call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop[0]).result(10)
        return get(*about)

    monkeypatch.setattr(beside.scene.cluster, "get", slow)

    async def story() -> None:
        loop.append(asyncio.get_running_loop())
        await asyncio.wait_for(begun.wait(), 10)
        beside.stops.set()
        await until(lambda: beside.process.unready() == "Stopping.")
        await asyncio.sleep(0.3)
        assert beside.store.holder == "me"
        go_on.set()

    beside.plays(story)

    assert beside.store.holder == "me"
