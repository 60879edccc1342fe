"""The bench of the operator runs, with a fleet of a few, and what it counts is within bounds."""

import json
from typing import Any

import pytest
from bench import page
from bench.__main__ import scale

from assay.api import crd
from assay.sandbox import cluster
from assay.sandbox.layout import Layout

MOST_CALLS_IDLE = 10  # six reads, and four writes where a minute is over
MOST_CALLS_ROLLING = 20  # a rollout makes a revision, Services and Deployments, and tells what it does


@pytest.fixture(scope="module")
def measured(sandbox: Layout) -> dict[str, Any]:
    definitions = {"apiVersion": "v1", "kind": "List", "items": crd.crds()}
    cluster.kubectl(sandbox, "apply", "--server-side", "--force-conflicts", "-f", "-", given=json.dumps(definitions))
    return scale(sandbox, "--idle=6", "--rolling=3", "--seconds=3", "--minutes=0.3")


def test_api_calls_per_round_are_bounded(measured: dict[str, Any]) -> None:
    for window in measured["windows"]:
        most = MOST_CALLS_ROLLING if window["rolling"] else MOST_CALLS_IDLE
        # A round that began before the window made some of its calls in it.
        assert sum(window["calls"].values()) <= most * (window["rounds"] + 8), window["name"]


def test_prometheus_is_asked_twice_a_second_at_most_and_once_more_by_each_rollout_that_begins(
    measured: dict[str, Any],
) -> None:
    for window in measured["windows"]:
        assert window["queries"] <= 2 * (window["seconds"] + 1) + 3, window["name"]


def test_no_round_fails_while_objects_come_and_go(measured: dict[str, Any]) -> None:
    first, *_, last = measured["soak"]
    assert last["failed"] == 0
    # One of the fleet may be gone and not yet made anew; what others left in this cluster is known to the operator too.
    assert abs(last["objects"] - first["objects"]) <= 1


def test_the_page_can_be_written_from_it(measured: dict[str, Any]) -> None:
    text = page.page({"cores": 2, "figures": [], **measured})

    assert "3 rolling, 6 idle" in text
    assert "slope of the second half" in text
