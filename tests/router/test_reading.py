"""Is exactly what the ConfigMap and the EndpointSlices say understood?"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import InvalidSpec
from assay.core.split import Backend, Split
from assay.router.layout import Endpoint
from assay.router.reading import read_replicas, read_split
from router.rig import A, B, slice_of, split_map

REVISIONS = st.lists(st.text("0123456789abcdef", min_size=8, max_size=8), min_size=1, max_size=4, unique=True)


@st.composite
def splits(draw: st.DrawFn) -> Split:
    revisions = draw(REVISIONS)
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(revisions) - 1, max_size=len(revisions) - 1)))
    weights = [high - low for low, high in zip([0, *cuts], [*cuts, 100], strict=True)]
    backends = tuple(Backend(revision=r, weight=w) for r, w in zip(revisions, weights, strict=True))
    return Split(
        deployment="m",
        generation=draw(st.integers(1, 10**12 - 1)),
        backends=draw(st.sampled_from([backends, ()])),
        salt=draw(st.text(max_size=20)),
        allow_revision_header=draw(st.booleans()),
    )


@given(splits())
def test_what_the_operator_writes_is_read_unchanged(split: Split) -> None:
    written = {"data": {"split.json": json.dumps(split.to_manifest())}}
    assert read_split([written], "m") == split


@pytest.mark.parametrize(
    ("config_maps", "sentence"),
    [
        ([], r"ConfigMap m-router is missing\."),
        ([{"metadata": {}}], r"ConfigMap m-router: the key split.json is missing\."),
        ([{"data": {"split.json": "{"}}], r"ConfigMap m-router, split.json: the whole: Invalid JSON"),
        ([split_map(1, {A: 60, B: 50})], r"the weights must sum to 100, not 110"),
        ([split_map(0, {A: 100})], r"generation: Input should be greater than or equal to 1"),
        ([split_map(1, {A: 100}, mirror=B)], r"split.json: mirror: Extra inputs are not permitted"),
        ([split_map(1, {"../../x": 100})], r"backends.0.revision: String should match pattern"),
        ([split_map(1, {A: 100}, stickyHeader="x user")], r"split.json: stickyHeader: "),
    ],
)
def test_a_split_that_cannot_be_carried_out_is_refused_in_a_sentence(
    config_maps: list[dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(InvalidSpec, match=sentence):
        read_split(config_maps, "m")


def test_replicas_are_joined_over_slices_by_revision() -> None:
    slices = [*slice_of(A, [8080, 8081]), *slice_of(B, [9090])]
    ports = {revision: [one.port for one in replicas] for revision, replicas in read_replicas(slices).items()}
    assert ports == {A: [8080, 8081], B: [9090]}


def test_only_ready_replicas_are_used_and_an_unknown_condition_is_ready() -> None:
    slices = [*slice_of(A, [1], ready=True), *slice_of(A, [2], ready=False), *slice_of(A, [3], ready=None)]
    assert read_replicas(slices) == {A: (Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 3))}


def test_a_revision_whose_replicas_are_all_unready_has_none() -> None:
    assert read_replicas(slice_of(A, [1], ready=False)) == {A: ()}


def test_slices_of_services_without_a_revision_are_left_alone() -> None:
    (stable,) = slice_of(A, [1], name="m-stable")
    del stable["metadata"]["labels"]["assay.dev/revision"]
    assert read_replicas([stable]) == {}


def test_of_several_ports_the_one_named_http_is_used() -> None:
    (several,) = slice_of(A, [1])
    several["ports"] = [{"name": "grpc", "port": 2}, {"name": "http", "port": 3}]
    assert read_replicas([several]) == {A: (Endpoint("127.0.0.1", 3),)}


def test_ports_that_leave_a_doubt_and_names_instead_of_addresses_give_no_replica() -> None:
    (doubt,) = slice_of(A, [1])
    doubt["ports"] = [{"name": "grpc", "port": 2}, {"name": "rest", "port": 3}]
    (fqdn,) = slice_of(B, [1])
    fqdn["addressType"] = "FQDN"
    assert read_replicas([doubt, fqdn]) == {A: (), B: ()}
