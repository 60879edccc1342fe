"""Labels that come late: each prediction counts once, when it has the age at which labels are looked at."""

from collections import defaultdict, deque
from collections.abc import MutableMapping
from dataclasses import dataclass, field

OUTCOMES = ("correct", "wrong", "unlabelled")


@dataclass
class Labels:
    """What happens to predictions after they were made."""

    age: int = 60
    """Seconds after which a prediction counts."""
    late: float = 10.0
    """Seconds after which a label comes; after `age` it is none."""
    share: dict[str, float] = field(default_factory=dict)
    """Model version -> share of predictions that ever get a label."""
    ripened: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Revision -> predictions that came of age with a label."""
    _waiting: dict[str, deque[tuple[float, tuple[float, float, float]]]] = field(
        default_factory=lambda: defaultdict(deque)
    )

    def predict(self, revision: str, version: str, now: float, count: float, wrong: float) -> None:
        """A revision makes predictions, of which some will turn out wrong."""
        labelled = count * self.share.get(version, 1.0) if self.late <= self.age else 0.0
        self._waiting[revision].append((now, (labelled * (1 - wrong), labelled * wrong, count - labelled)))

    def ripen(self, revision: str, now: float, counts: MutableMapping[tuple[str, str], float]) -> None:
        """Count the predictions that have come of age."""
        waiting = self._waiting[revision]
        while waiting and waiting[0][0] <= now - self.age:
            correct, wrong, unlabelled = waiting.popleft()[1]
            self.ripened[revision] += correct + wrong
            for outcome, number in zip(OUTCOMES, (correct, wrong, unlabelled), strict=True):
                counts[revision, outcome] += number

    def forget(self, revision: str) -> None:
        """Its pod was restarted."""
        self._waiting[revision].clear()
