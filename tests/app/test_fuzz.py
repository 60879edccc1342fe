"""No resource, however bad, ends a round in anything but a reason to come back: not even one that the API server would refuse."""

import logging
import os
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import fuzzing
from app.scene import NOW
from assay.adapters.memory import MemoryCluster, MemoryMetrics
from assay.api.base import Manifest
from assay.app.kinds import Key, kinds
from assay.app.metrics import Instruments
from assay.app.queue import Again
from assay.app.reconcile import World, reconcile
from assay.app.settings import Settings
from modeldeployments import written

pytestmark = pytest.mark.exhaustive

MANY = int(os.environ.get("ASSAY_TEST_EXAMPLES", "300"))
EXAMPLES = settings(
    max_examples=MANY,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),  # an example is read as it is; to shrink one takes longer than to find it
    suppress_health_check=list(HealthCheck),
)
ROUNDS = 4
MOST_PODS = 20  # a world in memory takes its time to make a thousand
KINDS = kinds(Settings())


class Place:
    """A world in memory with the kinds as they are run."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster()
        self.now = NOW
        self.instruments = Instruments()
        self.world = World(KINDS, self.cluster, MemoryMetrics(), self.instruments, lambda: self.now)

    def rounds(self, name: str, count: int = ROUNDS) -> list[Again | None]:
        """Run rounds of one resource, in between which a few seconds pass and its pods come up."""
        ended = []
        for _ in range(count):
            ended.append(reconcile(Key("ModelDeployment", "shop", name), self.world))
            if all(one["spec"]["replicas"] <= MOST_PODS for one in self.cluster.objects("Deployment").values()):
                self.cluster.settle()
            self.now += timedelta(seconds=20)
        return ended

    def status(self, name: str) -> Any:
        return self.cluster.objects("ModelDeployment")[name].get("status", {})


def raw(spec: Any, name: str = "flights", **more: Any) -> Manifest:
    return {**written(), "metadata": {"name": name, "namespace": "shop"}, "spec": spec, **more}


def is_well(place: Place, ended: list[Again | None], caplog: pytest.LogCaptureFixture) -> None:
    assert all(one is None or one.after is None or 0 <= one.after <= 3600 for one in ended)
    assert b'outcome="InternalError"' not in place.instruments.page()
    assert not [one for one in caplog.records if one.exc_info]


@given(name=fuzzing.names(), spec=fuzzing.specs(), more=st.sampled_from([{}, {}, {"status": None}, {"status": "☃"}]))
@EXAMPLES
def test_a_bad_spec_is_refused_in_a_sentence_that_names_a_field_or_carried_out(
    caplog: pytest.LogCaptureFixture, name: str, spec: Any, more: Manifest
) -> None:
    caplog.clear()
    place = Place()
    place.cluster.create(raw(spec, name, **more))

    is_well(place, place.rounds(name), caplog)

    status = place.status(name)
    if isinstance(status, dict):
        assert status["observedGeneration"] == 1
        stalled = next(one for one in status["conditions"] if one["type"] == "Stalled")
        assert stalled["status"] == "False" or fuzzing.is_a_sentence(stalled["message"]), stalled


@given(data=st.data())
@EXAMPLES
def test_a_spoilt_status_in_the_middle_of_a_rollout_is_gone_on_from(
    caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    caplog.clear()
    place = Place()
    place.cluster.create(raw(written()["spec"]))
    place.rounds("flights")
    place.cluster.create(raw(written(model={"name": "flights", "version": "2"})["spec"]))
    place.rounds("flights", data.draw(st.integers(0, 4)))
    known = place.status("flights")
    revisions = [one.rsplit("-", 1)[1] for one in place.cluster.objects("ControllerRevision")]
    place.cluster.create(raw(data.draw(fuzzing.specs()), status=data.draw(fuzzing.statuses(known, revisions))))

    is_well(place, place.rounds("flights"), caplog)


def test_the_log_of_these_tests_would_show_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("assay").error("Met it", exc_info=ValueError("a bug"))

    with pytest.raises(AssertionError):
        is_well(Place(), [], caplog)
