"""How does kopf's outside, watching and signals, meet our inside, the queue and its workers?

kopf discovers, lists, watches, reconnects and stops on signals. It runs handlers of the kind `on.event` only, with which
it writes nothing to any object.
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import kopf
from kopf._core.engines.peering import Identity

from assay.adapters.kube import KubeCluster, connect
from assay.adapters.lease import KubeLease
from assay.adapters.ports import Cluster
from assay.adapters.prometheus import PrometheusMetrics
from assay.api.served import outdated
from assay.app.inbox import Inbox
from assay.app.kinds import Key, Kind, kinds
from assay.app.lease import Lease
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
    api = connect(threads=settings.workers + 3)
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
    lease = None
    if settings.lease:
        identity = settings.identity or f"{socket.gethostname()}-{secrets.token_hex(4)}"
        store = KubeLease(api, instruments.api_call, *settings.lease.split("/"))
        lease = Lease(store, identity, world.now)
    try:
        await Process(settings, world, lease).run()
    finally:
        metrics.close()
        api.close()  # type: ignore[no-untyped-call]


class Process:
    """The running operator."""

    def __init__(
        self, settings: Settings, world: World, lease: Lease | None = None, end: Callable[[int], object] = os._exit
    ) -> None:
        """Prepare.

        Args:
            settings: What the administrator has set.
            world: What the rounds touch.
            lease: What must be held to work; None for an operator that is alone.
            end: Ends the process at once, whatever its threads are at.
        """
        self._settings = settings
        self._world = world
        self._lease = lease
        self._end = end
        self._queue: WorkQueue[Key] = WorkQueue()
        self._inbox = Inbox(self._queue, world.instruments)
        self._workers = Workers(self._queue, partial(reconcile, world=world), settings.workers)
        self._pulse = Pulse()
        self._stop = asyncio.Event()
        self._missing: str | None = "Has not seen the cluster yet."
        self._working = False
        self._stopping = False
        world.instruments.watch_queue(lambda: len(self._queue), self._queue.lag, lambda: len(self._queue.known()))

    async def run(self) -> None:
        """Watch and work until a signal comes, then let the workers end the round they are in."""
        address = (self._settings.http_host, self._settings.http_port)
        page = self._world.instruments.page
        with Probes(address, healthy=self.unhealthy, ready=self.unready, page=page) as probes:
            log.info("Started with %d workers; probes and metrics on port %d", self._settings.workers, probes.port)
            background = [asyncio.create_task(self._beat())]
            try:
                if await self._sees_the_cluster() and await self._leads():
                    self._workers.start()
                    self._working = True
                    self._world.instruments.leads()
                    background.append(asyncio.create_task(self._audit()))
                    await self._watch()
            finally:
                self._stopping = True
                for task in background:
                    task.cancel()
                await asyncio.gather(*background, return_exceptions=True)
                await asyncio.to_thread(self._rest)

    def unhealthy(self) -> str | None:
        """Return why the process should be restarted, or None."""
        if self._pulse.still():
            return "The event loop does not turn."
        if self._working and not self._stopping and not self._workers.alive():
            return "A worker died."
        return None

    def unready(self) -> str | None:
        """Return why the process neither works nor stands by (yet), or None."""
        return "Stopping." if self._stopping else self._missing

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
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # As a container's first process we would not even die of a signal that nobody handles.
            loop.add_signal_handler(number, self._stop.set)
        while not self._stop.is_set() and not (await self._fits() and await self._listed() is not None):
            await self._pause(START_SECONDS)
        return not self._stop.is_set()

    async def _leads(self) -> bool:
        """Stand by until this process holds the lease; False on a signal."""
        while self._lease is not None and not self._stop.is_set():
            before = self._lease.holder
            try:
                if await asyncio.to_thread(self._lease.attempt):
                    log.info("Holds the lease")
                    self._lease.keep(self._lost)
                    break
                self._missing = None
                if self._lease.holder != before:
                    log.info("Stands by: %s holds the lease", self._lease.holder)
            except AssayError as error:
                self._missing = f"Could not ask for the lease: {error}"
                log.warning("%s", self._missing)
            await self._pause(self._lease.terms.retry)
        self._missing = None
        return not self._stop.is_set()

    def _lost(self, why: str) -> None:
        """End the process, for another may be at work already; whoever started it starts it again, to stand by."""
        log.error("%s The process ends.", why)
        self._end(1)

    def _rest(self) -> None:
        """Let the workers end the rounds they are at, then let another operator have the lease."""
        ended = not self._working or self._workers.stop(STOP_SECONDS)
        if ended and self._lease is not None:
            self._lease.release()
        log.info("Stopped%s", "" if ended else ", and left a worker behind in a call that did not end")

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _fits(self) -> bool:
        """Return whether the API server would keep all that we write; evidence that it drops would be lost unseen."""
        try:
            trouble = outdated(await asyncio.to_thread(self._world.cluster.schemas))
        except AssayError as error:
            trouble = f"Could not see the cluster: {error}"
        if trouble is not None and trouble != self._missing:
            log.warning("%s", trouble)
        self._missing = trouble or "Has not seen the cluster yet."
        return trouble is None

    async def _audit(self) -> None:
        """List everything now and every few minutes: a deletion lost in a gap of the watch would leave a ghost for ever."""
        while True:
            await self._audited()
            await asyncio.sleep(self._settings.audit_seconds)

    async def _audited(self) -> None:
        for kind, keys in (await self._listed() or {}).items():
            self._inbox.audited(self._world.kinds[kind], keys)

    async def _listed(self) -> dict[str, set[Key]] | None:
        """Return the keys of everything by kind, or None where it could not be listed."""
        try:
            return {
                kind.name: await asyncio.to_thread(list_keys, self._world.cluster, kind, self._settings.namespaces)
                for kind in self._world.kinds.values()
            }
        except AssayError as error:
            log.warning("Could not see the cluster: %s", error)
            return None


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
