"""What do pods tell: what do they wait for, and do their containers keep ending?"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from assay.api.base import Manifest
from assay.core.times import parsed

MOST_ENDS = 3  # the kubelet starts a container again within a minute so often
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
LOST = frozenset({"Unknown", "ContainerStatusUnknown"})  # the kubelet's words for what ended with its node


def waits_for(pod: Manifest) -> str:
    """Return what a pod waits for, in the kubelet's or the scheduler's words, or an empty string."""
    for container in _containers(pod):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            told = f": {waiting['message']}" if waiting.get("message") else ""
            return f"container {container.get('name')} is waiting, {waiting['reason']}{told}"
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"a pod cannot be scheduled: {condition.get('message', '')}"
    return ""


def keeps_ending(revision: str, pods: Iterable[Manifest], since: datetime) -> str:
    """Return which container of a revision was started again three times or more, in all pods together, or an empty string.

    The statuses of the pods are the whole memory; what a pod that was replaced had counted is lost. Of a pod that is older than
    `since` only the last end is known to have come after it. What ended with its node is nobody's fault.
    """
    since = since.replace(microsecond=0)  # Kubernetes tells whole seconds, those of a pod made half a second later too
    counts: dict[str, int] = defaultdict(int)
    last: dict[str, Manifest] = {}
    for pod in pods:
        made = pod["metadata"].get("creationTimestamp")
        older = made is not None and parsed(made) < since
        for container in _containers(pod):
            state, before = (container.get(key) or {} for key in ("state", "lastState"))
            end = state.get("terminated") or before.get("terminated") or {}
            restarts, name = int(container.get("restartCount") or 0), str(container.get("name"))
            if restarts == 0 or end.get("reason") in LOST or _time(end) < (since if older else NEVER):
                continue
            counts[name] += 1 if older else restarts
            last[name] = max(last.get(name, end), end, key=_time)
    for name, count in counts.items():
        if count >= MOST_ENDS:
            how, code = (last[name].get(key, "unknown") for key in ("reason", "exitCode"))
            return f"container {name} of revision {revision} ended {count} times, last {how} (exit code {code})"
    return ""


def _time(end: Manifest) -> datetime:
    return parsed(end["finishedAt"]) if end.get("finishedAt") else NEVER


def _containers(pod: Manifest) -> Iterator[Manifest]:
    """Yield the statuses of containers, without the init containers that have done what they had to."""
    status = pod.get("status") or {}
    for container in status.get("initContainerStatuses") or []:
        end = (container.get("state") or {}).get("terminated") or {}
        if end.get("exitCode") != 0:
            yield container
    yield from status.get("containerStatuses") or []
