"""A Lease in memory, and what can go wrong with it."""

import copy
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from assay.api.base import Manifest
from assay.app.lease import Lease, Terms
from assay.core.errors import AssayError, Conflict

QUICK = Terms(lasts=0.6, renewed_within=0.4, retry=0.05)
"""For tests that really wait."""


def wall() -> datetime:
    return datetime(2013, 1, 1, tzinfo=UTC)


class MemoryLease:
    """A `LeaseStore` that all contenders share."""

    def __init__(self) -> None:
        self.spec: Manifest | None = None
        self.away: AssayError | None = None
        """Why it cannot be reached, while that is so."""
        self.between: Callable[[], None] = lambda: None
        """Called before and after each call is carried out."""
        self._version = 0
        self._lock = threading.Lock()

    def read(self) -> Manifest | None:
        self.between()
        with self._lock:
            self._reach()
            meta = {"resourceVersion": str(self._version)}
            found = None if self.spec is None else {"metadata": meta, "spec": copy.deepcopy(self.spec)}
        self.between()
        return found

    def write(self, manifest: Manifest) -> None:
        self.between()
        with self._lock:
            self._reach()
            version = str(self._version) if self.spec is not None else None
            if manifest.get("metadata", {}).get("resourceVersion") != version:
                raise Conflict("The Lease was changed in between.")
            self.spec, self._version = copy.deepcopy(manifest["spec"]), self._version + 1
        self.between()

    def taken_by(self, holder: str) -> None:
        """Somebody takes the lease, whoever has it."""
        with self._lock:
            self.spec, self._version = {**(self.spec or {}), "holderIdentity": holder}, self._version + 1

    def contender(self, name: str, **more: Any) -> Lease:
        return Lease(self, name, wall, **({"terms": QUICK} | more))

    @property
    def holder(self) -> str:
        return str((self.spec or {}).get("holderIdentity", ""))

    def _reach(self) -> None:
        if self.away is not None:
            raise self.away
