"""Does what Envoy is told follow from the split, for every split?"""

import json
from pathlib import Path
from typing import Any

from hypothesis import given

from assay.core.split import Split
from assay.router import envoy
from assay.router.layout import Layout
from router.test_reading import splits

LAYOUT = Layout(directory=Path("/run/assay"))


def table(split: Split) -> dict[str, Any]:
    (found,) = envoy.routes(split)["resources"]
    assert json.loads(json.dumps(found)) == found
    return dict(found)


def targets(split: Split) -> dict[str, int]:
    """Return the clusters of the split's own route and their weights, in order."""
    last = table(split)["virtual_hosts"][0]["routes"][-1]
    shares = last.get("route", {}).get("weighted_clusters", {"clusters": []})["clusters"]
    return {share["name"]: share["weight"] for share in shares}


@given(splits())
def test_weights_and_their_order_are_those_of_the_split(split: Split) -> None:
    wanted = {f"split|{backend.revision}": backend.weight for backend in split.backends if backend.weight}
    assert list(targets(split).items()) == list(wanted.items())


@given(splits())
def test_routes_never_name_a_cluster_that_is_not_told_of(split: Split) -> None:
    told = envoy.clusters([backend.revision for backend in split.backends], LAYOUT)["resources"]
    names = {cluster["name"] for cluster in told}
    routed = {
        route["route"]["cluster"]
        for route in table(split)["virtual_hosts"][0]["routes"]
        if "cluster" in route.get("route", {})
    }
    assert routed | set(targets(split)) <= names


@given(splits())
def test_callers_reach_a_revision_by_name_only_where_allowed(split: Split) -> None:
    every = table(split)["virtual_hosts"][0]["routes"]
    predictions = [route for route in every if route["match"].get("path") != "/assay/outcomes"]
    assert ("direct|" in json.dumps(predictions)) == (split.allow_revision_header and bool(split.backends))
    assert {"x-assay-revision", "x-assay-replica"} <= set(table(split)["request_headers_to_remove"])


@given(splits())
def test_only_labels_are_taken_to_the_replica_that_a_caller_names(split: Split) -> None:
    for route in table(split)["virtual_hosts"][0]["routes"]:
        assert "typed_per_filter_config" not in route or route["match"]["path"] == "/assay/outcomes"


@given(splits(), splits())
def test_versions_differ_exactly_when_the_content_does(one: Split, other: Split) -> None:
    left, right = envoy.routes(one), envoy.routes(other)
    assert (left["version_info"] == right["version_info"]) == (left["resources"] == right["resources"])


@given(splits())
def test_a_new_generation_is_a_new_version_though_nothing_else_changes(split: Split) -> None:
    later = split.model_copy(update={"generation": split.generation + 1})
    assert envoy.routes(split)["version_info"] != envoy.routes(later)["version_info"]


@given(splits())
def test_nothing_but_failures_that_no_model_has_seen_is_ever_retried(split: Split) -> None:
    for route in table(split)["virtual_hosts"][0]["routes"]:
        if "route" in route:
            assert set(route["route"]["retry_policy"]["retry_on"].split(",")) == {
                "connect-failure",
                "refused-stream",
                "reset-before-request",
            }
