"""A candidate that gets another share of the requests than its weight is told of, and nothing else comes of it."""

import pytest

from assay.api.modeldeployment import Outcome
from core.simulation import Cluster, a_spec


class Leaning(Cluster):
    """Callers that keep to the candidate, or away from it."""

    lean: float = 1.0

    def _serve(self, seconds: float) -> None:
        super()._serve(seconds)
        for pod in self.routers():
            for one in self._applied.get(pod, {}).get("backends", [])[:1]:
                if one["weight"] < 100:
                    more = (self.lean - 1) * self.rate * seconds / len(self.routers()) * one["weight"] / 100
                    self._counts[pod][one["revision"], "2"] += more * 0.99
                    self._counts[pod][one["revision"], "5"] += more * 0.01


def test_with_endless_traffic_a_share_that_differs_by_less_than_a_fifth_is_not_told() -> None:
    cluster = Leaning(a_spec("1"), rate=100_000.0).settle()
    cluster.lean = 1.15
    cluster.apply(a_spec("2", strategy__canary__steps=[{"weight": 10, "minSeconds": 100}]))
    cluster.run(60)

    candidate = cluster.state().candidate
    assert candidate is not None
    assert candidate.step_requests > 100_000
    assert not any("of what was counted at this step" in one for one in candidate.warnings)


@pytest.mark.parametrize(("lean", "told"), [(1.0, False), (1.1, False), (1.5, True), (0.5, True)])
def test_a_share_that_differs_by_more_than_a_fifth_and_beyond_chance_is_told(lean: float, told: bool) -> None:  # noqa: FBT001
    cluster = Leaning(a_spec("1")).settle()
    cluster.lean = lean
    cluster.apply(a_spec("2", strategy__canary__steps=[{"weight": 10, "minSeconds": 100}]))
    cluster.run(90)

    candidate = cluster.state().candidate
    assert candidate is not None
    warnings = [one for one in candidate.warnings if "of what was counted at this step, and its weight is 10%" in one]
    assert bool(warnings) is told
    cluster.settle(3000)
    assert [one.outcome for one in cluster.state().history] == [Outcome.PROMOTED]
