"""How does kopf's outside, watching and signals, meet our inside, the queue and its workers?

kopf discovers, lists, watches, reconnects and stops on signals. It runs handlers of the kind `on.event` only, with which
it writes nothing to any object.
"""

import asyncio
import logging
import signal
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import kopf
from kopf._core.engines.peering import Identity

from assay.adapters.kube import KubeCluster, connect
from assay.adapters.ports import Cluster
from assay.adapters.prometheus import PrometheusMetrics
from assay.api.served import outdated
from assay.app.inbox import Inbox
from assay.app.kinds import Key, Kind, kinds
from assay.app.metrics import Instruments
from assay.app.probes import Probes, Pulse
from assay.app.queue import Workers, WorkQueue
from assay.app.reconcile import World, reconcile
from assay.app.settings import Settings
from assay.core.decision import Listing
from assay.core.errors import AssayError
from assay.core.names import MANAGED_BY

CHILDREN = (("apps", "v1", "deployments"), ("", "v1", "configmaps"), ("", "v1", "services"))
"""What we own and wait for: pods that become ready, routers that acknowledge; and without Services nobody is reached."""

LEVELS = 10_000  # of JSON, which the API server takes, and keeps in a template as it was written
STACK_BYTES = 64 * 2**20  # for as many levels in C; only what is used is ever given

STOP_SECONDS = 10.0  # one call's timeout: a worker that takes longer is left behind
START_SECONDS = 2.0  # between two tries to see the cluster for the first time

log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT."""
    # Python's json module gives up at the recursion limit, a thousand by default: a single resource that is nested deeper
    # would end every watch and every listing. A copy takes two calls a level.
    sys.setrecursionlimit(4 * LEVELS)
    threading.stack_size(STACK_BYTES)
    instruments = Instruments()
    api = connect(threads=settings.workers + 2)
    metrics = PrometheusMetrics(
        settings.prometheus_url,
        interval=settings.prometheus_interval,
        window=settings.prometheus_window,
        on_query=instruments.query,
    )
    world = World(
        kinds=kinds(settings),
        cluster=KubeCluster(api, instruments.api_call),
        metrics=metrics,
        instruments=instruments,
        now=lambda: datetime.now(UTC),  # noqa: TID251 - here the clock comes in
    )
    try:
        await Process(settings, world).run()
    finally:
        metrics.close()
        api.close()  # type: ignore[no-untyped-call]


class Process:
    """The running operator."""

    def __init__(self, settings: Settings, world: World) -> None:
        self._settings = settings
        self._world = world
        self._queue: WorkQueue[Key] = WorkQueue()
        self._inbox = Inbox(self._queue, world.instruments)
        self._workers = Workers(self._queue, partial(reconcile, world=world), settings.workers)
        self._pulse = Pulse()
        self._ready = False
        self._trouble = "Has not seen the cluster yet."
        self._stopping = False
        world.instruments.watch_queue(lambda: len(self._queue), self._queue.lag, lambda: len(self._queue.known()))

    async def run(self) -> None:
        """Watch and work until a signal comes, then let the workers end the round they are in."""
        address = (self._settings.http_host, self._settings.http_port)
        page = self._world.instruments.page
        with Probes(address, healthy=self.unhealthy, ready=self.unready, page=page) as probes:
            log.info("Started with %d workers; probes and metrics on port %d", self._settings.workers, probes.port)
            background = [asyncio.create_task(self._beat())]
            self._workers.start()
            try:
                if await self._sees_the_cluster():
                    background.append(asyncio.create_task(self._audit()))
                    await self._watch()
            finally:
                self._stopping = True
                for task in background:
                    task.cancel()
                await asyncio.gather(*background, return_exceptions=True)
                ended = await asyncio.to_thread(self._workers.stop, STOP_SECONDS)
                log.info("Stopped%s", "" if ended else ", and left a worker behind in a call that did not end")

    def unhealthy(self) -> str | None:
        """Return why the process should be restarted, or None."""
        if self._pulse.still():
            return "The event loop does not turn."
        if not self._stopping and not self._workers.alive():
            return "A worker died."
        return None

    def unready(self) -> str | None:
        """Return why the process does not do its work (yet), or None."""
        if self._stopping:
            return "Stopping."
        return None if self._ready else self._trouble

    async def _watch(self) -> None:
        registry, options = kopf.OperatorRegistry(), kopf.OperatorSettings()
        for kind in self._world.kinds.values():
            wire(registry, options, kind, self._inbox)
        configure(options)
        places: dict[str, Any] = (
            {"namespaces": self._settings.namespaces} if self._settings.namespaces else {"clusterwide": True}
        )
        # kopf would ask for the user's name, and an image's user has none.
        await kopf.operator(registry=registry, settings=options, standalone=True, identity=Identity("assay"), **places)

    async def _beat(self) -> None:
        while True:
            self._pulse.beat()
            await asyncio.sleep(1.0)

    async def _sees_the_cluster(self) -> bool:
        """Wait until everything can be listed, for kopf looks for our kinds once, when it starts; False on a signal."""
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            # As a container's first process we would not even die of a signal that nobody handles.
            loop.add_signal_handler(number, stop.set)
        while not stop.is_set() and not (await self._fits() and await self._listed()):
            with suppress(TimeoutError):
                async with asyncio.timeout(START_SECONDS):
                    await stop.wait()
        self._ready = not stop.is_set()
        return self._ready

    async def _fits(self) -> bool:
        """Return whether the API server would keep all that we write; evidence that it drops would be lost unseen."""
        try:
            trouble = outdated(await asyncio.to_thread(self._world.cluster.schemas))
        except AssayError as error:
            trouble = f"Could not see the cluster: {error}"
        if trouble is not None and trouble != self._trouble:
            log.warning("%s", trouble)
        self._trouble = trouble or "Has not seen the cluster yet."
        return trouble is None

    async def _audit(self) -> None:
        """List everything every few minutes: a deletion lost in a gap of the watch would leave a ghost for ever."""
        while True:
            await asyncio.sleep(self._settings.audit_seconds)
            await self._listed()

    async def _listed(self) -> bool:
        try:
            for kind in self._world.kinds.values():
                keys = await asyncio.to_thread(list_keys, self._world.cluster, kind, self._settings.namespaces)
                self._inbox.audited(kind, keys)
        except AssayError as error:
            log.warning("Could not see the cluster: %s", error)
            return False
        return True


def list_keys(cluster: Cluster, kind: Kind, namespaces: tuple[str, ...]) -> set[Key]:
    """Return the keys of all objects of a kind; in all namespaces where none is named."""
    everything = Listing(kind.api_version, kind.name, ())
    return {
        Key(kind.name, namespace, name)
        for place in namespaces or (None,)
        for namespace, name in cluster.names(everything, place)
    }


def wire(registry: kopf.OperatorRegistry, options: kopf.OperatorSettings, kind: Kind, inbox: Inbox) -> None:
    """Let kopf bring the events of a kind and of what we own for it."""

    async def on_resource(event: Any, **_: Any) -> None:  # noqa: ANN401 - kopf's
        inbox.resource(kind, event["type"], event["object"])

    async def on_child(event: Any, resource: kopf.Resource, **_: Any) -> None:  # noqa: ANN401 - kopf's
        inbox.child(kind, resource.plural, event["object"])

    group, version = kind.api_version.split("/")
    kopf.on.login(registry=registry)(kopf.login_via_client)
    kopf.on.event(group, version, kind.plural, registry=registry)(on_resource)
    ours = ",".join(f"{label}={value}" for label, value in MANAGED_BY.items())
    for child in CHILDREN:
        kopf.on.event(*child, registry=registry)(on_child)
        options.watching.label_selectors[child] = ours


def configure(options: kopf.OperatorSettings) -> None:
    """Set kopf to watch, and to nothing else.

    Each value is away from kopf's default for a reason; see docs/adr/0004-threads-and-one-client.md.
    """
    options.posting.enabled = False  # events are ours to post, on transitions only
    options.scanning.disabled = True  # the CRDs are there first; needs no rights to watch CRDs and namespaces
    options.watching.server_timeout = 300  # a watch that a load balancer silently dropped ends by itself
    options.watching.reconnect_backoff = 1
    options.watching.connect_timeout = 10
    options.watching.chunk_size = 500  # bounds the memory of the first listing
    options.queueing.idle_timeout = 2  # a task per object that is not needed between events
    options.queueing.error_delays = (1, 2, 5, 10, 30)  # the default mutes an object for up to ten minutes
    options.networking.connect_timeout = 5
    options.networking.request_timeout = 20
    options.networking.error_backoffs = (1, 2, 4)
    options.networking.enforce_retry_after = True
    options.process.ultimate_exiting_timeout = 25  # below the pod's grace period of 30 s
