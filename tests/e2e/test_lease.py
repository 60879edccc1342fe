"""Two operators' processes and one Lease, on a real API server."""

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.process import Operator, Place
from flights.shop import until

LASTS = 15.0  # seconds for which a lease is not taken from a holder that is heard of no more


class Pair:
    """Two operators of one namespace; `works` is the one that works."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place, self._folder = place, folder
        self.operators: dict[str, Operator] = {}

    def start(self, name: str) -> Operator:
        (self._folder / name).mkdir(exist_ok=True)
        lease = {"ASSAY_LEASE": f"{self.place.namespace}/assay", "ASSAY_IDENTITY": name}
        self.operators[name] = Operator(self.place, self._folder / name, **lease)
        return self.operators[name]

    def holder(self) -> str:
        found = json.loads(self.place.kubectl("get", "lease", "--output", "json"))["items"]
        return str(found[0]["spec"].get("holderIdentity", "")) if found else ""

    def leads(self, name: str) -> bool:
        return "assay_operator_leader 1.0" in (self.operators[name].get("/metrics") or "")


@pytest.fixture
def pair(place: Place, tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(place, tmp_path)
    yield pair
    for one in pair.operators.values():
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.mark.reliability(trouble="leader killed", stage="any", outcome="the standby takes over")
def test_the_standby_takes_over_from_a_leader_that_is_killed_and_from_one_that_is_stopped(
    pair: Pair,
) -> None:
    place = pair.place
    first = pair.start("first")
    until(lambda: pair.leads("first"), "the first one leads")
    pair.start("second")
    assert (pair.holder(), pair.leads("second")) == ("first", False)
    place.apply()
    until(lambda: place.observed(1), "the first generation is observed")

    started = time.monotonic()
    first.end(signal.SIGKILL)
    place.apply(replicas=2)
    until(lambda: pair.leads("second"), "the second one leads")
    killed = time.monotonic() - started
    until(lambda: place.observed(2), "the generation that came while nobody led is observed")
    assert pair.holder() == "second"
    # The last renewal was up to 2 s before the death.
    assert killed > LASTS - 3, "it was taken from a holder that could still have believed in it"

    pair.start("first")
    started = time.monotonic()
    code, _ = pair.operators["second"].end(signal.SIGTERM)
    until(lambda: pair.leads("first"), "the first one leads again")
    stopped = time.monotonic() - started
    assert code == 0
    place.apply(replicas=3)
    until(lambda: place.observed(3), "the third generation is observed")
    sys.stderr.write(f"... the standby worked {killed:.1f} s after a kill, {stopped:.1f} s after a stop\n")


def test_a_leader_whose_lease_was_taken_ends_with_an_error(pair: Pair) -> None:
    operator = pair.start("first")
    until(lambda: pair.leads("first"), "it leads")

    taken = {"spec": {"holderIdentity": "somebody"}}
    pair.place.kubectl("patch", "lease", "assay", "--type", "merge", "--patch", json.dumps(taken))

    assert operator.process.wait(30) == 1
    assert pair.holder() == "somebody"
