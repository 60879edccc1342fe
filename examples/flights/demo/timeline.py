"""What was seen of each release, as values? The table, the summary and the page are made from these alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

Report: TypeAlias = Mapping[str, Any]
"""A line of the replay client: what its passengers have got since they began."""

EXPECTED: Final = {
    "v2": ("Promoted", {"errors", "accuracy", "latency"}),
    "v5": ("RolledBack", {"errors"}),
    "v3": ("RolledBack", {"accuracy"}),
    "v4": ("RolledBack", {"latency"}),
}
"""Revision -> how its release must end, and on which check; a promotion waits for all, and names the one that came last."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One check at one moment."""

    name: str
    verdict: str
    reason: str
    harm: float = 0.0
    """Evidence of harm; at `harm_limit` the candidate goes back."""
    harm_limit: float = 0.0
    """0 while nothing is counted."""
    safety: float = 0.0
    """Evidence of safety; at `safety_limit` the candidate may be promoted."""
    safety_limit: float = 0.0
    """0 while nothing is counted at this step."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the two revisions at one moment."""

    revision: str = ""
    """Hash; empty where there is none."""
    weight: int = 0
    """Percent of the traffic, as read back from the routers."""
    answered: int = 0
    """Requests that it has answered, as the passengers counted them."""
    failed: int = 0
    """Of these, with HTTP 5xx."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment of a release."""

    seconds: float
    """Since `kubectl apply` of the released revision."""
    stage: str
    step: int
    """From 0."""
    steps: int
    released: Arm
    served: Arm
    """The revision that served when the release began."""
    checks: tuple[Evidence, ...]
    requests: int
    """Requests that were answered, by whomever, since the release began."""
    lost: int
    """Requests that no model answered, since the release began."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a release was decided."""

    outcome: str
    """Promoted or RolledBack."""
    reason: str
    check: str
    seconds: float
    """From `kubectl apply` to the decision."""
    candidate_requests: int
    """Requests that the released revision had answered by then, as the passengers counted them."""
    lost: int
    """Until the revision that went was gone."""
    first_candidate_seconds: float
    """From `kubectl apply` to the first answer of the released revision."""
    verdict_to_last_request_milliseconds: int
    """From the decision to the last answer of the revision that lost."""


@dataclass(frozen=True, slots=True)
class Act:
    """The release of one revision over another."""

    revision: str
    """Name, for example v2."""
    over: str
    """Name of the revision that serves."""
    title: str
    samples: tuple[Sample, ...] = ()
    ending: Ending | None = None

    def seen(self, sample: Sample) -> "Act":
        """Return the act with one more sample."""
        return replace(self, samples=(*self.samples, sample))

    @property
    def revision_hash(self) -> str:
        """The released revision's hash, empty until it is known."""
        return next((one.released.revision for one in reversed(self.samples) if one.released.revision), "")

    @property
    def over_hash(self) -> str:
        """The serving revision's hash, empty until it is known."""
        return next((one.served.revision for one in self.samples if one.served.revision), "")

    @property
    def succeeded(self) -> bool:
        """Whether it ended as the example promises, and no request was lost."""
        outcome, checks = EXPECTED[self.revision]
        return (
            self.ending is not None
            and self.ending.outcome == outcome
            and self.ending.check in checks
            and not self.ending.lost
        )

    def summary(self) -> dict[str, Any]:
        """Return the act's part of demo.json."""
        if self.ending is None:
            return {"revision": self.revision, "outcome": ""}
        return {
            "revision": self.revision,
            "outcome": self.ending.outcome,
            "seconds": self.ending.seconds,
            "candidateRequests": self.ending.candidate_requests,
            "decidingCheck": self.ending.check,
            "lostRequests": self.ending.lost,
            "firstCandidateSeconds": self.ending.first_candidate_seconds,
            "verdictToLastRequestMilliseconds": self.ending.verdict_to_last_request_milliseconds,
        }


@dataclass(frozen=True, slots=True)
class Release:
    """What was so when a release began: all counts are from here."""

    applied: float
    """Seconds since the epoch."""
    served: str
    """Hash of the revision that served."""
    ended: int
    """Releases in the history."""
    requests: int
    lost: int


def look(release: Release, now: float, found: Report, heard: Report) -> Sample:
    """Make a sample of a ModelDeployment and the replay client's last line.

    Args:
        release: What was so when it began.
        now: Seconds since the epoch.
        found: The ModelDeployment.
        heard: What the passengers have got.
    """
    status = found.get("status", {})
    weights = {one["revision"]: one["weight"] for one in (status.get("stable"), status.get("candidate")) if one}
    released = _released(release, status)
    return Sample(
        seconds=round(now - release.applied, 2),
        stage=status.get("stage", ""),
        step=(status.get("candidate") or {}).get("step", 0),
        steps=len(found["spec"]["strategy"]["canary"]["steps"]),
        released=_arm(released, weights, heard),
        served=_arm(release.served, weights, heard),
        checks=tuple(_evidence(check) for check in status.get("checks", [])) if released else (),
        requests=heard.get("answered", 0) - release.requests,
        lost=heard.get("lost", 0) - release.lost,
    )


def over(release: Release, found: Report) -> bool:
    """Say whether the release has been decided and carried out."""
    status = found.get("status", {})
    return status.get("stage") in {"Stable", "RolledBack"} and len(status.get("history", [])) > release.ended


def end(release: Release, samples: Sequence[Sample], found: Report, heard: Report) -> Ending:
    """Read how a release ended from its samples, the newest entry of the history and the last report."""
    entry = found["status"]["history"][0]
    promoted = entry["outcome"] == "Promoted"
    decided = datetime.fromisoformat(entry["endTime"]).timestamp()
    counts = [one.released.answered for one in samples if one.seconds <= decided - release.applied]
    answers = heard.get("revisions", {})
    first = answers.get(entry["revision"], {}).get("firstAnswer", 0) / 1000
    last = answers.get(release.served if promoted else entry["revision"], {}).get("lastAnswer", 0) / 1000
    checks = [_evidence(check) for check in found["status"].get("checks", [])]
    weakest = min(checks, key=lambda one: one.safety / (one.safety_limit or 1), default=None)
    return Ending(
        outcome=entry["outcome"],
        reason=entry.get("reason", ""),
        check=entry.get("worstCheck") or (weakest.name if weakest else ""),
        seconds=round(decided - release.applied, 1),
        candidate_requests=counts[-1] if counts else 0,
        lost=heard.get("lost", 0) - release.lost,
        first_candidate_seconds=round(first - release.applied, 1) if first else 0.0,
        verdict_to_last_request_milliseconds=round(1000 * (last - decided)) if last else 0,
    )


def _released(release: Release, status: Report) -> str:
    """Return the hash of the revision that is being released, wherever it stands by now."""
    ended = status.get("history", [])
    if len(ended) > release.ended:
        return str(ended[0]["revision"])
    return str((status.get("candidate") or {}).get("revision", ""))


def _arm(revision: str, weights: Mapping[str, int], heard: Report) -> Arm:
    answers = heard.get("revisions", {}).get(revision, {})
    failed = sum(count for code, count in answers.get("statuses", {}).items() if code.startswith("5"))
    return Arm(revision, weights.get(revision, 0), answers.get("answered", 0), failed)


def _evidence(check: Report) -> Evidence:
    harm, safety = _of(check.get("harmEvidence", "")), _of(check.get("safetyEvidence", ""))
    return Evidence(check["name"], check["verdict"], check.get("reason", ""), *harm, *safety)


def _of(text: str) -> tuple[float, float]:
    """Read `5.1 of 100`; zeros where nothing was counted."""
    reached, _, limit = text.partition(" of ")
    return (float(reached), float(limit)) if limit else (0.0, 0.0)


def save(acts: Sequence[Act], path: Path) -> None:
    """Write acts as JSON."""
    path.write_text(json.dumps({"acts": [asdict(act) for act in acts]}) + "\n")


def load(path: Path) -> tuple[Act, ...]:
    """Read what `save` wrote."""
    return tuple(_act(one) for one in json.loads(path.read_text())["acts"])


def _act(raw: dict[str, Any]) -> Act:
    ending = Ending(**raw["ending"]) if raw["ending"] else None
    return Act(**raw | {"samples": tuple(_sample(one) for one in raw["samples"]), "ending": ending})


def _sample(raw: dict[str, Any]) -> Sample:
    arms = {name: Arm(**raw[name]) for name in ("released", "served")}
    return Sample(**raw | arms | {"checks": tuple(Evidence(**one) for one in raw["checks"])})
