"""How does a router follow its ModelDeployment, from its first second to its last request?"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from assay.api.base import Manifest
from assay.core.errors import ApiUnavailable, Forbidden, InvalidSpec
from assay.core.split import Split
from assay.router.admin import Admin, EnvoyGone, EnvoyUnavailable
from assay.router.converge import Convergence, Replicas
from assay.router.layout import Layout
from assay.router.reading import read_replicas, read_split

log = logging.getLogger(__name__)

REPEAT = 15.0  # seconds; so often is Envoy looked at, and the acknowledgement written, though nothing seems to change
FIRST_POLL, LONGEST_POLL = 0.02, 1.0  # seconds between two looks while Envoy is behind
DRAIN_POLL = 0.2  # seconds between two looks while callers leave
TOLD_AFTER = 5.0  # seconds that Envoy may be behind before the log says so


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a draining router waits, in seconds since it was told to stop."""

    linger: float = 5.0
    """For callers that other nodes still send, because they have not yet heard that this router is leaving."""
    idle: float = 20.0
    """For callers that keep a connection open without using it."""
    request_margin: float = 25.0
    """Beyond the request timeout: for a request in flight."""


class Acks(Protocol):
    """Where a router says which generation it runs."""

    def acknowledge(self, pod: str, generation: int | None) -> None:
        """Write it down, or take it away."""


class Agent:
    """Feeds one Envoy."""

    def __init__(self, layout: Layout, deployment: str, pod: str, acks: Acks, patience: Patience = Patience()) -> None:
        self._patience = patience
        self._admin = Admin(layout.admin_port)
        self._convergence = Convergence(layout, self._admin)
        self._remembered = layout.directory / "split.json"
        self._deployment = deployment
        self._pod = pod
        self._acks = acks
        self._wake = threading.Event()
        self._split = self._recall()
        self._replicas: Replicas | None = None
        self._refused = ""
        self._acknowledged: tuple[int, float] | None = None  # generation, and when it was last written
        self._behind_since: float | None = None
        self._told = ""
        self._stopping_since: float | None = None

    def hear_split(self, config_maps: list[Manifest]) -> None:
        """Take in the ConfigMap; an invalid one never replaces a good one."""
        try:
            split = read_split(config_maps, self._deployment)
        except InvalidSpec as error:
            if str(error) != self._refused:
                log.warning("%s The last good split stays in force, and this one is not acknowledged.", error)
            self._refused = str(error)
            return
        self._refused = ""
        if split != self._split:
            self._split = split
            self._wake.set()

    def hear_slices(self, slices: list[Manifest]) -> None:
        """Take in the EndpointSlices."""
        replicas = read_replicas(slices)
        if replicas != self._replicas:
            self._replicas = replicas
            self._wake.set()

    def stop(self) -> None:
        """Begin to drain; may be called from any thread."""
        self._stopping_since = self._stopping_since or time.monotonic()
        self._wake.set()

    def run(self) -> None:
        """Follow until `stop`, then drain; returns when the last caller is gone or the bounds are over."""
        pause = FIRST_POLL
        while True:
            changed = self._wake.wait(pause)
            self._wake.clear()
            settled = self._follow()
            if self._stopping_since is None:
                pause = FIRST_POLL if changed else 2 * pause
                pause = REPEAT if settled else min(pause, LONGEST_POLL)
                continue
            if self._drained(time.monotonic() - self._stopping_since):
                break
            pause = DRAIN_POLL
        self._acknowledge(None)

    def _follow(self) -> bool:
        """Take one step towards what is wanted; True when there is nothing left to do."""
        split, replicas = self._split, self._replicas
        if split is None or replicas is None:
            return False
        try:
            missing = self._convergence.step(split, replicas)
        except EnvoyUnavailable as error:
            missing = str(error).rstrip(".")
        if missing:
            self._tell_behind(split, missing)
            return False
        self._remember(split)
        self._behind_since = None
        return self._acknowledge(split.generation)

    def _tell_behind(self, split: Split, missing: str) -> None:
        now = time.monotonic()
        self._behind_since = self._behind_since or now
        if now - self._behind_since > TOLD_AFTER and missing != self._told:
            log.warning("Generation %s is not acknowledged: %s.", split.generation, missing)
            self._told = missing

    def _acknowledge(self, generation: int | None) -> bool:
        now = time.monotonic()
        if generation is not None and self._acknowledged is not None:
            written, when = self._acknowledged
            if written == generation and now - when < REPEAT / 2:
                return True
        try:
            self._acks.acknowledge(self._pod, generation)
        except (ApiUnavailable, Forbidden) as error:
            if str(error) != self._told:
                log.warning("%s", error)
            self._told = str(error)
            return False
        if generation is not None and (self._acknowledged is None or self._acknowledged[0] != generation):
            log.info("Generation %s runs.", generation)
        self._acknowledged = None if generation is None else (generation, now)
        self._told = ""
        return True

    def _drained(self, age: float) -> bool:
        """Fail readiness (again and again: Envoy may have restarted) and tell whether Envoy may end now."""
        limit = (self._split.timeout_seconds if self._split else 0) + self._patience.request_margin
        try:
            self._admin.fail_readiness()
            connections, requests = self._admin.callers()
        except EnvoyGone:
            return True  # there is nobody left to wait for
        except EnvoyUnavailable as error:
            log.warning("%s", error)
            return age > limit
        if age < self._patience.linger:
            return False
        return age > limit if requests else not connections or age > self._patience.idle

    def _remember(self, split: Split) -> None:
        """Keep the split that was carried out: should the ConfigMap be spoilt while the agent restarts, it stays in force."""
        text = split.model_dump_json(by_alias=True, exclude_none=True).encode()
        if not self._remembered.exists() or self._remembered.read_bytes() != text:
            draft = self._remembered.with_suffix(".draft")
            draft.write_bytes(text)
            draft.replace(self._remembered)

    def _recall(self) -> Split | None:
        try:
            return Split.model_validate_json(self._remembered.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            log.warning("%s is spoilt; Envoy goes on with its own files until the ConfigMap is read.", self._remembered)
            return None
