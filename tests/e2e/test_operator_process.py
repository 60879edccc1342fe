"""The operator's process against a real API server: what it writes, how it dies, how it stops."""

import json
import signal
from contextlib import suppress

from assay.sandbox.errors import SandboxError
from e2e.older import older, put
from e2e.process import Operator, Place
from flights.shop import until

STOP_SECONDS = 5.0


def test_it_writes_the_status_and_nothing_else_of_a_users_object(place: Place, operator: Operator) -> None:
    place.apply()
    until(lambda: place.observed(1), "the first generation is observed")

    found = place.read()
    ours = [one for one in found["metadata"]["managedFields"] if one["manager"] == "assay"]
    assert [(one["operation"], one.get("subresource")) for one in ours] == [("Update", "status")]
    assert "finalizers" not in found["metadata"]
    assert set(found["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert operator.answers("/healthz")


def test_killed_it_goes_on_where_it_was_and_stops_within_seconds_when_asked(place: Place, operator: Operator) -> None:
    place.apply()
    until(lambda: place.observed(1), "the first generation is observed")
    before = place.read()["status"]

    operator.end(signal.SIGKILL)
    place.apply(replicas=2)
    operator.start()
    until(lambda: place.observed(2), "the generation that came while it was dead is observed")
    after = place.read()["status"]
    code, seconds = operator.end(signal.SIGTERM)

    assert after["stage"] == before["stage"]
    assert after.get("candidate") == before.get("candidate")
    assert code == 0
    assert seconds < STOP_SECONDS


def test_what_somebody_deletes_of_ours_comes_back_at_once(place: Place, operator: Operator) -> None:
    place.apply()
    until(lambda: place.observed(1), "the first generation is observed")
    first = place.read("configmap", "flights-router")["metadata"]["uid"]

    place.kubectl("delete", "configmap", "flights-router")

    def back() -> bool:
        with suppress(SandboxError):
            return bool(place.read("configmap", "flights-router")["metadata"]["uid"] != first)
        return False

    until(back, "the ConfigMap is back", 10)
    assert operator.process.poll() is None


def test_a_restart_changes_nothing_that_is_as_it_should_be(place: Place, operator: Operator) -> None:
    place.apply()
    until(lambda: place.observed(1), "the first generation is observed")
    operator.end(signal.SIGTERM)
    kinds = "configmap,service,role,rolebinding,serviceaccount,controllerrevision"
    versions = (
        "get",
        kinds,
        "-o",
        "jsonpath={range .items[*]}{.kind}/{.metadata.name}@{.metadata.resourceVersion} {end}",
    )
    before = place.kubectl(*versions)

    operator.start()
    until(lambda: "reconciles_total{" in (operator.get("/metrics") or ""), "a look is over")

    assert 'verb="patch"' in (operator.get("/metrics") or "")
    assert place.kubectl(*versions) == before


def test_over_an_older_definition_it_reconciles_nothing_says_what_to_do_and_goes_on_by_itself(
    place: Place, operator: Operator
) -> None:
    operator.end(signal.SIGTERM)
    put(place.layout, older())
    place.apply()

    operator.start(ready=False)
    sentence = "is older than this operator: it would lose status.history."
    until(lambda: sentence in operator.said(), "the sentence is in the log")
    assert not operator.answers("/readyz")
    assert "status" not in place.read()
    put(place.layout)

    until(lambda: place.observed(1), "the first generation is observed")
    assert operator.said().count(sentence) == 1


def test_a_service_of_somebody_else_is_left_alone_and_named(place: Place, operator: Operator) -> None:
    spec = {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "flights"}, "spec": spec}
    place.kubectl("apply", "-f", "-", given=json.dumps(service))
    before = place.read("service")

    place.apply()
    sentence = "Service flights exists and does not belong to this ModelDeployment; rename one of them."
    until(lambda: place.condition("Stalled") == ("True", sentence), "the sentence is in the status")

    assert place.read("service", "flights-stable")["metadata"]["ownerReferences"], "everything else goes on"
    assert place.read("configmap", "flights-router")["metadata"]["ownerReferences"]
    place.kubectl("delete", "modeldeployment", "flights")
    until(lambda: not place.names("configmap", "service") & {"flights-router", "flights-stable"}, "ours are collected")
    assert place.read("service") == before
    assert operator.process.poll() is None


def test_the_name_is_taken_as_soon_as_it_is_free(place: Place, operator: Operator) -> None:
    place.kubectl("create", "service", "clusterip", "flights", "--tcp=80")
    place.apply()
    until(lambda: place.condition("Stalled")[0] == "True", "it is stalled")

    place.kubectl("delete", "service", "flights")

    until(lambda: place.condition("Stalled")[0] == "False", "it is no longer stalled")
    assert place.owner("service", "flights") == place.read()["metadata"]["uid"]
    assert operator.process.poll() is None


def test_applied_again_at_once_it_waits_for_what_the_deleted_one_left(place: Place, operator: Operator) -> None:
    place.apply()
    until(lambda: place.observed(1), "the first generation is observed")
    place.kubectl("delete", "modeldeployment", "flights")

    place.apply()
    until(lambda: place.observed(1), "the second one is observed")

    uid = place.read()["metadata"]["uid"]
    children = ("configmap", "flights-router"), ("serviceaccount", "flights-router"), ("service", "flights")
    assert [place.owner(*child) for child in children] == [uid] * 3
    assert "InvalidSpec" not in place.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}")
    assert operator.process.poll() is None
