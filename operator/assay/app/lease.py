"""Which of several operators works, and which stand by?

Who works has its name in a Lease and renews it every few seconds. The others watch it with clocks of their own: one that
has not seen it change for its duration takes it. Who could not renew it ends its process well before that, for a
worker may be in the middle of a call and nothing else stops that for certain. No two clocks are ever compared.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from assay.adapters.ports import LeaseStore
from assay.api.base import Manifest
from assay.core.errors import AssayError, Conflict

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds; the defaults are those of Kubernetes' own controllers."""

    lasts: float = 15.0
    """Who has not seen the lease change for so long may take it."""
    renewed_within: float = 10.0
    """Who holds it and has not renewed it for so long ends."""
    retry: float = 2.0
    """Between two attempts to take or renew it."""


class Lease:
    """This process' part in the election; `attempt` and `keep` are not to be called at once by two threads."""

    def __init__(
        self,
        store: LeaseStore,
        identity: str,
        now: Callable[[], datetime],
        *,
        terms: Terms | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            store: Where the Lease is.
            identity: Name of this process; no two that live at once may have the same.
            now: Wall clock, for people who read the Lease.
            terms: How long is what.
            clock: Seconds that never go back.
        """
        self.terms = terms or Terms()
        self.holder = ""
        """Who held it when it was last read; empty for nobody."""
        self._store, self._identity, self._now, self._clock = store, identity, now, clock
        self._seen: str | None = None  # the resource version that was read last
        self._seen_at = 0.0  # when it was first read so
        self._until = -math.inf  # until when the last renewal is good
        self._ended = threading.Event()
        self._renewing: threading.Thread | None = None

    def attempt(self) -> bool:
        """Take or renew the lease, if it may be taken; return whether that was done.

        Raises:
            AssayError: It could not be asked for.
        """
        began = self._clock()  # the others count from the write, which is later
        found = self._store.read()
        spec: Manifest = (found or {}).get("spec") or {}
        version = found["metadata"]["resourceVersion"] if found else None
        if version != self._seen:
            self._seen, self._seen_at = version, self._clock()  # and we count from the read, later than the write
        self.holder = spec.get("holderIdentity") or ""
        lasts = spec.get("leaseDurationSeconds") or self.terms.lasts
        if self.holder not in ("", self._identity) and self._clock() < self._seen_at + lasts:
            return False
        try:
            self._store.write({**(found or {}), "spec": self._claim(spec)})
        except Conflict:
            return False  # somebody else was faster
        self.holder, self._until = self._identity, began + self.terms.renewed_within
        return True

    def keep(self, lost: Callable[[str], None]) -> None:
        """Renew the lease from now on, in threads; call `lost` with a sentence once it is lost, and then at once."""
        self._renewing = threading.Thread(target=self._renew, args=(lost,), name="lease", daemon=True)
        self._renewing.start()
        # The clock is watched by another thread, for a call can hang where no timeout reaches, in a name's resolution.
        threading.Thread(target=self._guard, args=(lost,), name="lease-guard", daemon=True).start()

    def release(self) -> None:
        """Give the lease back, if it was kept, so that nobody waits for its end; only when nothing works here any more."""
        if self._renewing is None:
            return
        self._ended.set()
        self._renewing.join(self.terms.renewed_within)
        try:
            found = self._store.read()
            if found is not None and found["spec"].get("holderIdentity") == self._identity:
                self._store.write({**found, "spec": {**found["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}})
        except AssayError as error:
            log.warning("Could not release the lease, which ends by itself in %g s: %s", self.terms.lasts, error)

    def _claim(self, spec: Manifest) -> Manifest:
        now = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = self.holder == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self.terms.lasts)),
            "acquireTime": spec.get("acquireTime", now) if mine else now,
            "renewTime": now,
            "leaseTransitions": (spec.get("leaseTransitions") or 0) + (0 if mine else 1),
        }

    def _renew(self, lost: Callable[[str], None]) -> None:
        while not self._ended.wait(self.terms.retry):
            try:
                if not self.attempt() and self.holder not in ("", self._identity):
                    lost(f"{self.holder} has taken the lease.")
                    return
            except AssayError as error:
                log.warning("Could not renew the lease: %s", error)

    def _guard(self, lost: Callable[[str], None]) -> None:
        while not self._ended.wait(max(0.01, self._until - self._clock())):
            if self._clock() >= self._until:
                lost(f"The lease could not be renewed for {self.terms.renewed_within:g} s.")
                return
