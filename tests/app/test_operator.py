"""The process, with a cluster in memory and without kopf's watch; the watch itself is seen on the sandbox."""

import asyncio
import copy
import os
import signal
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection
from typing import Any

import kopf
import pytest

from app.scene import KIND, RESOURCE, Deployment, Scene
from assay.api.modeldeployment import Stage
from assay.app.inbox import Inbox
from assay.app.kinds import Key
from assay.app.operator import CHILDREN, Process, configure, list_keys, wire
from assay.app.queue import WorkQueue
from assay.app.settings import Settings
from assay.core.errors import ApiUnavailable

SETTINGS = Settings(http_host="127.0.0.1", http_port=0, workers=2)


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Put a function in the place of kopf's watch; the process stops when it ends."""

    def stand_in(watch: Callable[[], Awaitable[None]]) -> None:
        async def operator(**_: Any) -> None:
            await watch()

        monkeypatch.setattr(kopf, "operator", operator)

    return stand_in


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what is awaited happens in a thread
            await asyncio.sleep(0.01)


def test_what_was_there_before_the_start_is_reconciled(
    scene: Scene, deployment: Deployment, watching: Callable[..., None]
) -> None:
    scene.cluster.create(deployment())

    async def watch() -> None:
        await until(lambda: scene.status.stage is Stage.STABLE)

    watching(watch)
    asyncio.run(Process(SETTINGS, scene.world).run())


def test_it_is_ready_once_it_has_seen_the_cluster_and_not_while_it_stops(
    scene: Scene, watching: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.app.operator.START_SECONDS", 0.01)
    process = Process(SETTINGS, scene.world)
    said = [process.unready()]
    scene.cluster.fail(1, ApiUnavailable("The API server did not answer."))

    async def watch() -> None:
        said.append(process.unready())

    watching(watch)
    asyncio.run(process.run())

    assert said == ["Has not seen the cluster yet.", None]
    assert process.unready() == "Stopping."


def test_while_the_served_schema_is_older_it_is_not_ready_says_so_once_and_reconciles_nothing(
    scene: Scene, deployment: Deployment, watching: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr("assay.app.operator.START_SECONDS", 0.01)
    scene.cluster.create(deployment())
    process, today, said = Process(SETTINGS, scene.world), scene.cluster.served, list[str | None]()
    older = copy.deepcopy(today)
    del older["ModelDeployment"]["properties"]["status"]["properties"]["checks"]
    scene.cluster.served = older

    async def upgrade() -> None:
        await until(lambda: process.unready() != "Has not seen the cluster yet.")
        await asyncio.sleep(0.05)  # some tries more
        said.append(process.unready())
        assert scene.cluster.calls == []
        scene.cluster.served = today

    async def watch() -> None:
        await until(lambda: scene.status.stage is Stage.STABLE)

    async def both() -> None:
        await asyncio.gather(process.run(), upgrade())

    watching(watch)
    asyncio.run(both())

    assert said[0] is not None
    assert "older than this operator: it would lose status.checks." in said[0]
    assert caplog.messages.count(said[0]) == 1


def test_it_stops_on_a_signal_also_while_it_waits_for_the_cluster(
    scene: Scene, watching: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(SETTINGS, scene.world)

    async def watch() -> None:
        pytest.fail("there is nothing to watch")

    def unreachable(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise ApiUnavailable("The API server did not answer.")

    monkeypatch.setattr(scene.cluster, "list", unreachable)
    watching(watch)
    asyncio.run(asyncio.wait_for(process.run(), 10))

    assert process.unready() == "Stopping."


def test_it_is_healthy_while_it_stops_and_not_when_a_worker_died(scene: Scene, watching: Callable[..., None]) -> None:
    process = Process(SETTINGS, scene.world)
    said = []

    async def watch() -> None:
        said.append(process.unhealthy())
        process._queue.stop()
        await until(lambda: not process._workers.alive())
        said.append(process.unhealthy())

    watching(watch)
    asyncio.run(process.run())

    assert said == [None, "A worker died."]
    assert process.unhealthy() is None


@pytest.mark.reliability(trouble="watch gap", stage="any", outcome="found by the audit")
def test_the_audit_finds_what_no_event_told(
    scene: Scene, deployment: Deployment, watching: Callable[..., None]
) -> None:
    process = Process(SETTINGS, scene.world)

    async def watch() -> None:
        scene.cluster.create(deployment())
        await process._audited()
        await until(lambda: scene.status.stage is Stage.STABLE)

    watching(watch)
    asyncio.run(process.run())


def test_metrics_are_served_while_it_runs(scene: Scene, watching: Callable[..., None], caplog: Any) -> None:
    caplog.set_level("INFO")
    pages = []

    def scrape(port: int) -> str:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/metrics")
        try:
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    async def watch() -> None:
        port = int(caplog.messages[0].rsplit(" ", 1)[1])
        pages.append(await asyncio.to_thread(scrape, port))

    watching(watch)
    asyncio.run(Process(SETTINGS, scene.world).run())

    assert "assay_operator_queue_depth 0.0" in pages[0]


def test_named_namespaces_are_listed_one_by_one(scene: Scene, deployment: Deployment) -> None:
    scene.cluster.create(deployment())
    other = deployment()
    other["metadata"] = {"name": "fares", "namespace": "other"}
    scene.cluster.create(other)

    assert list_keys(scene.cluster, KIND, ("shop",)) == {Key("ModelDeployment", "shop", "flights")}
    assert len(list_keys(scene.cluster, KIND, ("shop", "other"))) == 2
    assert len(list_keys(scene.cluster, KIND, ())) == 2


def test_kopf_gets_no_handler_that_would_write_to_an_object(scene: Scene) -> None:
    registry, options = kopf.OperatorRegistry(), kopf.OperatorSettings()

    wire(registry, options, KIND, Inbox(WorkQueue(), scene.world.instruments))
    configure(options)

    assert len(registry._watching.get_all_handlers()) == 1 + len(CHILDREN)
    for writing in (registry._changing, registry._spawning, registry._indexing):
        assert writing.get_all_handlers() == []
    assert set(options.watching.label_selectors.values()) == {"app.kubernetes.io/managed-by=assay"}
    assert not options.posting.enabled
    assert options.scanning.disabled


@pytest.mark.reliability(trouble="watch gap", stage="any", outcome="a lost deletion is found by the audit")
def test_a_deletion_that_no_event_told_is_forgotten_by_the_audit(
    scene: Scene, deployment: Deployment, watching: Callable[..., None]
) -> None:
    scene.cluster.create(deployment())
    process = Process(SETTINGS, scene.world)

    async def watch() -> None:
        await until(lambda: scene.status.stage is Stage.STABLE and len(process._queue.known()) == 1)
        raw = scene.cluster.objects("ModelDeployment")["flights"]
        scene.cluster.delete(RESOURCE, "shop", raw["metadata"]["uid"])
        await process._audited()
        await until(lambda: process._queue.known() == set())

    watching(watch)
    asyncio.run(process.run())

    assert scene.cluster.objects("ConfigMap") == {}


@pytest.mark.reliability(trouble="API server away for a while", stage="any", outcome="costs time")
def test_an_api_server_that_is_away_for_a_while_costs_time_and_nothing_else(
    scene: Scene, deployment: Deployment, watching: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.app.queue.FIRST_BACKOFF", 0.01)
    for number in range(20):
        scene.cluster.fail(number + 3, ApiUnavailable("The API server did not answer."))  # the first two calls list
    for number in range(5):
        raw = deployment()
        raw["metadata"]["name"] = f"flights-{number}"
        scene.cluster.create(raw)
    process = Process(SETTINGS, scene.world)

    def stages() -> set[str]:
        return {one.get("status", {}).get("stage") for one in scene.cluster.objects("ModelDeployment").values()}

    async def watch() -> None:
        await until(lambda: stages() == {"Stable"})
        assert process.unhealthy() is None

    watching(watch)
    asyncio.run(process.run())

    assert len(scene.cluster.objects("ConfigMap")) == 5
