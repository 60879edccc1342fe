"""Of the questions asked, which were answered, by whom, how, and which were lost?

A request is *answered* when a model answered it, whatever it said: the model server signs its answers with a header of
its own, which nothing between the caller and the model can forge by accident. An HTTP 500 of revision v5 is signed, and
so is answered. Everything else is *lost*: no connection, a connection that broke, no answer in time, or an answer that
some proxy made up because it reached no model (the router's own 503 and 504, even where they carry other headers).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

UNROUTED: Final = "unrouted"
"""Revision of an answer that names none: the caller reached a pod without the router."""


@dataclass(slots=True)
class Answers:
    """What one revision answered."""

    answered: int = 0
    first: int = 0
    """When its first answer came, milliseconds since the epoch."""
    last: int = 0
    """When its last answer came, milliseconds since the epoch."""
    statuses: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    """correct | wrong | unlabelled, of the answers with a prediction."""
    users: set[str] = field(default_factory=set)

    def written(self) -> dict[str, Any]:
        """Return this revision's part of a report."""
        return {
            "answered": self.answered,
            "firstAnswer": self.first,
            "lastAnswer": self.last,
            "statuses": dict(sorted(self.statuses.items())),
            "outcomes": dict(sorted(self.outcomes.items())),
            "users": len(self.users),
        }


@dataclass(slots=True)
class Tally:
    """Counts since the beginning."""

    sent: int = 0
    answered: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    losses: Counter[str] = field(default_factory=Counter)
    """Lost requests by reason: `timeout`, the connection error's name, or `unsigned 503`."""
    revisions: dict[str, Answers] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    """Labels `sent`; of these, `known` to the pod that they came to, `unknown` to it, or `failed` to come to any."""
    returned: set[str] = field(default_factory=set)
    """Users who were sent back to a revision that they had left before."""
    _path: dict[str, list[str]] = field(default_factory=dict)
    """Per user, the revisions that answered, in order, without repetition of the last."""

    @property
    def lost(self) -> int:
        """How many requests no model answered."""
        return self.losses.total()

    @property
    def waiting(self) -> int:
        """How many requests are still under way."""
        return self.sent - self.answered - self.lost

    def answer(self, revision: str, status: int, user: str, outcome: str | None, milliseconds: int) -> None:
        """Count a request that a model answered.

        Args:
            revision: Who answered.
            status: HTTP status.
            user: Who asked.
            outcome: correct, wrong or unlabelled; None where the answer holds no prediction.
            milliseconds: When, since the epoch.
        """
        answers = self.revisions.setdefault(revision, Answers(first=milliseconds))
        answers.answered += 1
        answers.last = milliseconds
        answers.statuses[str(status)] += 1
        answers.users.add(user)
        if outcome is not None:
            answers.outcomes[outcome] += 1
        self.answered += 1
        self.statuses[str(status)] += 1
        path = self._path.setdefault(user, [])
        if not path or path[-1] != revision:
            if revision in path:
                self.returned.add(user)
            path.append(revision)

    def lose(self, reason: str) -> None:
        """Count a request that no model answered."""
        self.losses[reason] += 1

    def label(self, count: int, known: int, *, failed: bool) -> None:
        """Count labels that were sent together.

        Args:
            count: How many.
            known: How many of these belonged to a prediction that waited for its label.
            failed: Whether there was no answer, or none that says how many.
        """
        self.labels.update({"sent": count, "known": known, "failed" if failed else "unknown": count - known})

    def written(self) -> dict[str, Any]:
        """Return everything counted so far."""
        return {
            "sent": self.sent,
            "answered": self.answered,
            "lost": self.lost,
            "waiting": self.waiting,
            "statuses": dict(sorted(self.statuses.items())),
            "losses": dict(sorted(self.losses.items())),
            "labels": {name: self.labels[name] for name in ("sent", "known", "unknown", "failed")},
            "returnedUsers": len(self.returned),
            "revisions": {name: answers.written() for name, answers in sorted(self.revisions.items())},
        }
