"""What was seen during the demo, as values: the table, the summary and the page are made from these alone."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Evidence:
    """One check at one moment."""

    name: str
    verdict: str
    reason: str
    harm: float
    """Evidence of harm; at `harm_limit` the candidate goes back."""
    harm_limit: float
    safety: float
    """Evidence of safety; at `safety_limit` the candidate may be promoted."""
    safety_limit: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment."""

    seconds: float
    """Since `kubectl apply` of the act's revision."""
    stage: str
    candidate: str
    """Hash of the candidate, empty when there is none."""
    weight: int
    """Percent of the traffic that goes to the act's revision."""
    step: int
    checks: tuple[Evidence, ...]
    candidate_answers: int
    """Requests that the act's revision has answered."""
    answers: int
    """Requests that all revisions have answered in this act."""
    lost: int
    """Requests that no model answered, in this act."""


@dataclass(slots=True)
class Act:
    """The release of one revision."""

    revision: str
    title: str
    samples: list[Sample] = field(default_factory=list)
    hash: str = ""
    outcome: str = ""
    reason: str = ""
    deciding_check: str = ""
    seconds: float = 0.0
    """From `kubectl apply` to the decision."""
    candidate_requests: int = 0
    """Requests that the candidate had answered when it was decided."""
    lost_requests: int = 0

    def end(self, status: dict[str, Any], applied: float) -> None:
        """Take in how it ended: the newest entry of the history."""
        ended = status["history"][0]
        self.hash, self.outcome, self.reason = ended["revision"], ended["outcome"], ended["reason"]
        self.seconds = round(datetime.fromisoformat(ended["endTime"]).timestamp() - applied, 1)
        until = [sample for sample in self.samples if sample.seconds <= self.seconds]
        self.candidate_requests = until[-1].candidate_answers if until else 0
        checks = self.samples[-1].checks if self.samples else ()
        best = max(checks, key=lambda check: check.safety / check.safety_limit, default=None)
        self.deciding_check = ended.get("worstCheck") or (best.name if best else "")
        self.lost_requests = self.samples[-1].lost if self.samples else 0

    def summary(self) -> dict[str, Any]:
        """Return the act's part of demo.json."""
        return {
            "revision": self.revision,
            "outcome": self.outcome,
            "seconds": self.seconds,
            "candidateRequests": self.candidate_requests,
            "decidingCheck": self.deciding_check,
            "lostRequests": self.lost_requests,
        }

    def written(self) -> dict[str, Any]:
        """Return all of it, for timeline.json."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Heard:
    """The callers' counts when an act began, to be subtracted."""

    answers: int
    lost: int


def look(seconds: float, found: dict[str, Any], heard: dict[str, Any], before: Heard, stable_before: str) -> Sample:
    """Make a sample of a ModelDeployment and the callers' report.

    Args:
        seconds: since `kubectl apply`.
        found: the resource.
        heard: the callers' last line.
        before: what they had counted when the act began.
        stable_before: hash of the revision that served when the act began.
    """
    status = found.get("status", {})
    candidate, stable = status.get("candidate", {}), status.get("stable", {})
    promoted = stable.get("revision", stable_before) != stable_before
    own = stable.get("revision", "") if promoted else candidate.get("revision", "")
    answers = heard.get("revisions", {}).get(own, {}).get("answered", 0) if own else 0
    return Sample(
        seconds=round(seconds, 2),
        stage=status.get("stage", ""),
        candidate=candidate.get("revision", ""),
        weight=stable.get("weight", 0) if promoted else candidate.get("weight", 0),
        step=candidate.get("step", 0),
        checks=tuple(_evidence(check) for check in status.get("checks", [])),
        candidate_answers=answers,
        answers=heard.get("answered", 0) - before.answers,
        lost=heard.get("lost", 0) - before.lost,
    )


def _evidence(check: dict[str, Any]) -> Evidence:
    harm, harm_limit = _of(check.get("harmEvidence", ""))
    safety, safety_limit = _of(check.get("safetyEvidence", ""))
    return Evidence(check["name"], check["verdict"], check.get("reason", ""), harm, harm_limit, safety, safety_limit)


def _of(text: str) -> tuple[float, float]:
    """Read `5.1 of 100`; nothing said is the start, where every score is 1."""
    reached, _, limit = text.partition(" of ")
    try:
        return float(reached), float(limit)
    except ValueError:
        return 1.0, 1.0
