"""Which object does an event of the cluster wake?"""

import json
import threading
from typing import Literal, TypeAlias

from assay.api.base import Manifest
from assay.app.kinds import Key, Kind, urgent
from assay.app.metrics import Instruments
from assay.app.queue import WorkQueue
from assay.core.names import DEPLOYMENT_LABEL

EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"] | None
"""None for what was there when the watch began."""


class Inbox:
    """Turns watch events into keys of the queue. An event only wakes; what is so is read anew by the round."""

    def __init__(self, queue: WorkQueue[Key], instruments: Instruments) -> None:
        self._queue = queue
        self._instruments = instruments
        self._asked: dict[Key, str] = {}  # what users had asked for when an object was last seen
        self._lock = threading.Lock()

    def resource(self, kind: Kind, event: EventType, raw: Manifest) -> None:
        """Wake a resource that a user has changed; an echo of our own status write wakes nobody."""
        self._instruments.event(kind.plural)
        meta = raw["metadata"]
        key = Key(kind.name, meta["namespace"], meta["name"])
        asked = json.dumps(
            [
                meta.get(field)
                for field in ("uid", "generation", "labels", "annotations", "deletionTimestamp", "finalizers")
            ],
            sort_keys=True,
        )
        with self._lock:
            if event == "DELETED":
                self._asked.pop(key, None)
            elif self._asked.get(key) == asked:
                return
            else:
                self._asked[key] = asked
        self._queue.add(key, urgent=urgent(raw))

    def child(self, owner: Kind, plural: str, raw: Manifest) -> None:
        """Wake the owner of an object that we own: its pods became ready, its routers acknowledged, or somebody edited it."""
        self._instruments.event(plural)
        name = raw["metadata"].get("labels", {}).get(DEPLOYMENT_LABEL)
        if name:
            self._queue.add(Key(owner.name, raw["metadata"]["namespace"], name))

    def audited(self, kind: Kind, listed: set[Key]) -> None:
        """Compare the queue with a listing of everything; wake what either lacks, so that ghosts are found gone."""
        known = {key for key in self._queue.known() if key.kind == kind.name}
        for key in known ^ listed:
            self._queue.add(key)
        with self._lock:
            for key in [key for key in self._asked if key in known - listed]:
                del self._asked[key]
