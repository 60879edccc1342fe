"""What belongs to somebody else is never written, whoever is faster."""

import json

import pytest

from adapters.child import LABELS, MANIFEST, OWNER, applied, stored
from adapters.script import Script
from assay.adapters.kube import KubeCluster
from assay.api.base import Manifest
from assay.core import errors as ours


def test_what_was_not_seen_is_read_without_a_write_and_created_only_if_it_is_not_there(
    cluster: KubeCluster, server: Script, calls: list[tuple[str, str, str]]
) -> None:
    server.says(404, {})
    server.says(201, stored("8"))
    cluster.apply(MANIFEST)

    method, _, query, headers, body = server.requests[0]
    assert (method, query, json.loads(body)) == ("PATCH", {"dryRun": ["All"]}, {})
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert applied(server) == {**MANIFEST, "metadata": {**MANIFEST["metadata"], "resourceVersion": "1"}}
    assert [verb for verb, _, _ in calls] == ["patch", "patch"], "no right to get is needed"


def test_what_is_ours_but_was_not_seen_is_read_once_and_then_known(
    cluster: KubeCluster, server: Script, now: list[float]
) -> None:
    server.says(200, stored("8"))
    cluster.apply(MANIFEST)
    assert len(server.requests) == 2
    assert applied(server)["metadata"]["uid"] == "u-7"

    now[0] = 60.0
    cluster.apply(MANIFEST)
    assert len(server.requests) == 3
    assert applied(server)["metadata"]["uid"] == "u-7"


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize(
    "meta",
    [
        {"ownerReferences": []},
        {"ownerReferences": [], "labels": {"assay.dev/deployment": "flights"}},
        {"ownerReferences": [], "labels": {**LABELS, "assay.dev/deployment": "another"}},
        {"ownerReferences": [{**OWNER, "controller": False}]},
        {"ownerReferences": [{**OWNER, "kind": "HelmRelease"} | {"uid": "u-2"}], "labels": LABELS},
        {"ownerReferences": [{**OWNER, "name": "another", "uid": "u-2"}], "labels": LABELS},
    ],
)
def test_an_object_of_somebody_else_is_refused_and_never_written(
    cluster: KubeCluster,
    server: Script,
    meta: Manifest,
    seen: bool,  # noqa: FBT001 - drawn
) -> None:
    server.says(200, stored("8", **meta))

    with pytest.raises(
        ours.InvalidSpec,
        match=r"^Deployment flights-0a1b2c3d exists and does not belong to this ModelDeployment; rename one of them\.$",
    ):
        cluster.apply(MANIFEST, stored("8", **meta) if seen else None)
    assert [query for _, _, query, _, _ in server.requests] == ([] if seen else [{"dryRun": ["All"]}])


def test_what_takes_the_name_of_something_absent_is_judged_before_it_is_written(
    cluster: KubeCluster, server: Script
) -> None:
    server.says(409, {"message": "the object has been modified"})
    server.says(200, stored("8", ownerReferences=[]))

    with pytest.raises(ours.InvalidSpec, match="does not belong to this ModelDeployment"):
        cluster.apply(MANIFEST, absent=True)
    assert json.loads(server.requests[0][4])["metadata"]["resourceVersion"] == "1", "it could not have changed it"
    assert [query for _, _, query, _, _ in server.requests[1:]] == [{"dryRun": ["All"]}]


def test_an_orphan_with_our_labels_is_adopted(cluster: KubeCluster, server: Script) -> None:
    server.says(200, stored("9"))
    cluster.apply(MANIFEST, stored("8", ownerReferences=[], labels=LABELS))

    assert applied(server)["metadata"]["ownerReferences"] == [OWNER]


def test_what_an_earlier_modeldeployment_of_this_name_left_is_waited_for(cluster: KubeCluster, server: Script) -> None:
    server.says(200, stored("8"))
    cluster.apply(MANIFEST)
    later = {**MANIFEST, "metadata": {**MANIFEST["metadata"], "ownerReferences": [{**OWNER, "uid": "u-2"}]}}

    with pytest.raises(ours.Retryable, match="was deleted"):
        cluster.apply(later)
    assert server.last[2] == {"dryRun": ["All"]}, "what the earlier one applied is not taken for ours"


@pytest.mark.parametrize(
    ("status", "details"),
    [
        (409, {}),  # it is gone, or was created in between
        (422, {"causes": [{"reason": "FieldValueInvalid", "field": "metadata.uid"}]}),  # another has taken its name
    ],
)
def test_an_object_that_changed_hands_in_between_drops_the_round_and_is_read_again(
    cluster: KubeCluster, server: Script, now: list[float], status: int, details: Manifest
) -> None:
    server.says(200, stored("8"))
    cluster.apply(MANIFEST)
    now[0] = 60.0
    server.answers = [(status, {"message": "uid mismatch", "details": details})]
    with pytest.raises(ours.Conflict):
        cluster.apply(MANIFEST)

    server.answers = [(200, stored("9", ownerReferences=[]))]
    with pytest.raises(ours.InvalidSpec):
        cluster.apply(MANIFEST)
    assert server.last[2] == {"dryRun": ["All"]}
