"""The values that pass between looking, deciding and acting."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from assay.api.base import Manifest
from assay.api.modeldeployment import ModelDeploymentStatus
from assay.stats.counts import Floats


@dataclass(frozen=True, slots=True)
class Ref:
    """An object in the namespace of the resource."""

    api_version: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a kind that carry these labels, in the namespace of the resource."""

    api_version: str
    kind: str
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Query:
    """Raw samples of a cumulative counter, for the whole fleet; asked once for all rollouts that want it."""

    metric: str
    match: tuple[tuple[str, str], ...] = ()
    among: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Labels that may have one of several values."""
    history: bool = False
    """In place of the newest samples, a sample each half minute of the last hour; asked once in a rollout, for it alone."""


@dataclass(frozen=True, slots=True)
class Series:
    """One counter of one pod: labels (`namespace`, `pod`, `assay_deployment`, `assay_revision`, ...) and raw samples."""

    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]
    """(seconds since the epoch by Prometheus' clock, value), oldest first; never NaN or infinite."""
    bounds: tuple[float, ...] = ()
    """Of a native histogram, of which the value counts all events: its finite bounds."""
    upto: Floats | None = field(default=None, compare=False)
    """Of a native histogram: how many events were at most at each bound; of the size (samples, bounds)."""

    def only(self, times: Collection[float]) -> "Series":
        """Return its samples at these times."""
        if len(times) >= len(self.samples) and all(time in times for time, _ in self.samples):
            return self
        return self.at([place for place, (time, _) in enumerate(self.samples) if time in times])

    def at(self, places: Sequence[int]) -> "Series":
        """Return some of its samples."""
        upto = None if self.upto is None else self.upto[list(places)]
        return Series(self.labels, tuple(self.samples[place] for place in places), self.bounds, upto)


@dataclass(frozen=True, slots=True)
class Missing:
    """A measurement that could not be taken, with the reason in words."""

    reason: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be looked at to decide."""

    objects: tuple[Ref, ...] = ()
    listings: tuple[Listing, ...] = ()
    queries: tuple[Query, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen."""

    now: datetime
    objects: Mapping[Ref, Manifest | None] = field(default_factory=dict)
    listings: Mapping[Listing, tuple[Manifest, ...]] = field(default_factory=dict)
    series: Mapping[Query, tuple[Series, ...] | Missing] = field(default_factory=dict)
    """Already narrowed to this resource's namespace and name."""


@dataclass(frozen=True, slots=True)
class Ensure:
    """Apply (server-side, our field manager, forced) an object; refused where it exists and is not ours."""

    manifest: Manifest
    guarded: bool = False
    """Where the object was seen, only if it is still as it was; else the round is dropped."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete an object that was seen, if it is still there; refused where it is not ours."""

    ref: Ref


Action: TypeAlias = Ensure | Remove


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a Kubernetes Event."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, what to save, what to tell, when to look again."""

    status: ModelDeploymentStatus
    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    again_in: float = 60.0
    """Seconds until the next look; 0 for at once."""
    doubtful: bool = False
    """Whether what was seen is newer than the status it was judged by: act only if that is the latest still."""
