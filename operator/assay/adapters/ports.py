"""What must a world be able to do, so that Assay can work in it?"""

from datetime import datetime
from typing import Protocol

from assay.api.base import Manifest
from assay.core.decision import Listing, Missing, Note, Query, Ref, Series


class Cluster(Protocol):
    """The objects of a Kubernetes cluster, as plain JSON.

    Every method may raise `ApiUnavailable` or `Forbidden`; those that write may raise `Conflict` and `InvalidSpec` too.
    """

    def get(self, ref: Ref, namespace: str) -> Manifest | None:
        """Return the object as it is now, or None where there is none."""

    def list(self, listing: Listing, namespace: str | None) -> tuple[Manifest, ...]:
        """Return the objects with these labels; of all namespaces where `namespace` is None."""

    def apply(self, manifest: Manifest, seen: Manifest | None = None) -> None:
        """Make the fields of `manifest` so, whoever owned them; create the object if there is none.

        Args:
            manifest: The object that we own, with its namespace.
            seen: The object as it was read in this round, if it was; lets a write that would change nothing be left out.
        """

    def replace(self, manifest: Manifest) -> None:
        """Replace an object; `Conflict` where it was changed since its resourceVersion was read."""

    def delete(self, ref: Ref, namespace: str) -> None:
        """Delete an object and what it owns, if it is there."""

    def save_status(self, manifest: Manifest, status: Manifest) -> None:
        """Replace the status of an object; `Conflict` where it was changed since `manifest` was read, or is gone."""

    def post_event(self, regarding: Manifest, note: Note, now: datetime) -> None:
        """Tell people about an object."""


class Metrics(Protocol):
    """The counters of all pods."""

    def series(self, query: Query, namespace: str, deployment: str) -> tuple[Series, ...] | Missing:
        """Return the raw samples of one ModelDeployment's pods; empty where there are none."""
