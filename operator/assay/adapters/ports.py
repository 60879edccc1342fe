"""What must a world be able to do, so that Assay can work in it?"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from assay.api.base import Manifest
from assay.core.decision import Listing, Missing, Note, Query, Ref, Series


class Cluster(Protocol):
    """The objects of a Kubernetes cluster, as plain JSON.

    Every method may raise `ApiUnavailable` or `Forbidden`; those that write may raise `Conflict` and `InvalidSpec` too.
    """

    def schemas(self) -> Mapping[str, Manifest]:
        """Return the schema that is served of each of our kinds, by kind."""

    def get(self, ref: Ref, namespace: str) -> Manifest | None:
        """Return the object as it is now, or None where there is none."""

    def list(self, listing: Listing, namespace: str | None) -> tuple[Manifest, ...]:
        """Return the objects with these labels; of all namespaces where `namespace` is None."""

    def names(self, listing: Listing, namespace: str | None) -> set[tuple[str, str]]:
        """Return namespace and name of the same objects."""

    def apply(
        self, manifest: Manifest, seen: Manifest | None = None, *, absent: bool = False, guarded: bool = False
    ) -> None:
        """Make the fields of `manifest` so, whoever set them; create the object if there is none.

        Args:
            manifest: The object as it should be, with its namespace and its controller.
            seen: The object as it was read in this round, if it was; lets a write that would change nothing be left out.
            absent: The object was looked for in this round and is not there, so it must be written whatever was before.
            guarded: Where it was `seen`, write only if it is still as it was.

        Raises:
            InvalidSpec: Such an object exists and belongs to somebody else; nothing was written.
            Retryable: It belongs to an earlier ModelDeployment of this name, and is about to go.
            Conflict: It is no longer the object that was seen, or, where `guarded`, no longer as it was seen.
        """

    def delete(self, ref: Ref, namespace: str, uid: str) -> None:
        """Delete the object with this uid and what it owns, if it is there; `Conflict` where another has its name."""

    def save_status(self, manifest: Manifest, status: Manifest) -> None:
        """Replace the status of an object; `Conflict` where it was changed since `manifest` was read, or is gone."""

    def post_event(self, regarding: Manifest, note: Note, now: datetime) -> None:
        """Tell people about an object."""


class Metrics(Protocol):
    """The counters of all pods."""

    def series(self, query: Query, namespace: str, deployment: str) -> tuple[Series, ...] | Missing:
        """Return the raw samples of one ModelDeployment's pods; empty where there are none."""


class LeaseStore(Protocol):
    """One Lease (`coordination.k8s.io/v1`), as plain JSON. Both methods may raise `ApiUnavailable` or `Forbidden`."""

    def read(self) -> Manifest | None:
        """Return the Lease as it is now, or None where there is none."""

    def write(self, manifest: Manifest) -> None:
        """Replace the Lease that was read, or create it where none was; `Conflict` where it is no longer so."""
