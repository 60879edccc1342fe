"""How does the release of one revision go, moment by moment?"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from flights.demo.streams import Streams
from flights.demo.timeline import Act, Release, Report, end, look, over
from flights.shop import Shop, ShopError

PATIENCE: Final = 240.0  # seconds that an act may take
PULSE: Final = 0.25  # seconds; the table's clock goes on when nothing else does

Show = Callable[[Act], None]


def now() -> float:
    """Return seconds since the epoch."""
    return datetime.now(UTC).timestamp()


def play(act: Act, shop: Shop, streams: Streams, lost: int, show: Show) -> Act:
    """Release the act's revision, and watch until it is decided and the revision that lost is gone.

    Args:
        act: Which revision, over which.
        shop: Where.
        streams: What is so.
        lost: Requests that were lost in the acts before, so that none falls between two acts.
        show: Called with the act whenever something was seen.

    Raises:
        ShopError: It was not decided in time; the message has the last evidence.
    """
    show(act)
    found, heard = _both(streams)
    release = Release(now(), found["status"]["stable"]["revision"], len(found["status"].get("history", [])),
                      heard["answered"], lost)  # fmt: skip
    shop.release(act.revision)
    deadline = time.monotonic() + PATIENCE
    seen: tuple[Report, Report] = (found, heard)
    while not over(release, seen[0]):
        act, seen = _step(act, release, streams, seen, show)
        if time.monotonic() > deadline:
            raise ShopError(_undecided(act))
    loser = release.served if seen[0]["status"]["stage"] == "Stable" else act.revision_hash
    while shop.kubectl("get", "pods", "--selector", f"assay.dev/revision={loser}", "--output", "name"):
        act, seen = _step(act, release, streams, seen, show)
        if time.monotonic() > deadline:
            raise ShopError(f"Pods of revision {loser} were not gone {PATIENCE:.0f} s after the release began.")
    last = streams.now()[1]
    while seen[1] is last:  # what those pods answered at the very end is in the next report
        act, seen = _step(act, release, streams, seen, show)
        if time.monotonic() > deadline:
            raise ShopError("The replay pod tells nothing any more; `kubectl logs flights-replay` may say why.")
    act = replace(act, ending=end(release, act.samples, *seen))
    show(act)
    return act


def _step(
    act: Act, release: Release, streams: Streams, seen: tuple[Report, Report], show: Show
) -> tuple[Act, tuple[Report, Report]]:
    """Wait for news, for a pulse at most, and note it."""
    newer = streams.newer(seen, PULSE)
    if newer:
        seen = streams.now()
        act = act.seen(look(release, now(), *seen))
    show(act)
    return act, seen


def _both(streams: Streams) -> tuple[Report, Report]:
    """Wait until both streams have spoken."""
    deadline = time.monotonic() + PATIENCE
    seen = streams.now()
    while not (seen[0].get("status", {}).get("stable") and "answered" in seen[1]):
        if time.monotonic() > deadline:
            raise ShopError("The ModelDeployment or the replay pod tells nothing; `kubectl get modeldeployment,pods"
                            " --namespace flights` may say why.")  # fmt: skip
        streams.newer(seen, PULSE)
        seen = streams.now()
    return seen


def _undecided(act: Act) -> str:
    last = "; ".join(f"{check.name}: {check.reason}" for check in act.samples[-1].checks) if act.samples else "none"
    stage = act.samples[-1].stage if act.samples else "unknown"
    return (
        f"Revision {act.revision} was not decided within {PATIENCE:.0f} s (stage {stage}); its last evidence: {last} "
        "`kubectl describe modeldeployment flights --namespace flights` says what it waits for; keep it with KEEP=1."
    )
