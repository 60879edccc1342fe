"""A better model is promoted and a failing one rolled back, under traffic, with the operator killed in the middle of each.

The whole story is told once (about three minutes); each test then asks one question about it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any

import pytest
import yaml

from assay.sandbox.cluster import kubectl
from assay.sandbox.layout import Layout
from e2e.operators import PROJECT, RELEASE, helm, install, sigkill, until

OPERATOR, PLACE = "release-operator", "release-models"
STEPS = [{"weight": weight, "minSeconds": 4} for weight in (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)]
OPERATOR_PODS = "app.kubernetes.io/instance=tested"


@dataclass(frozen=True, slots=True)
class Shop:
    """A namespace with the flights model and its callers."""

    sandbox: Layout

    def kubectl(self, *argv: str, given: str | None = None) -> str:
        return kubectl(self.sandbox, "--namespace", PLACE, *argv, given=given)

    def release(self, revision: str, name: str = "flights", steps: Any = None) -> None:
        """Apply the example as it is in the repository, with other steps and another revision."""
        manifest = yaml.safe_load((PROJECT / "examples/flights/modeldeployment.yaml").read_text())
        manifest["metadata"]["name"] = name
        manifest["spec"]["strategy"]["canary"]["steps"] = steps or STEPS
        manifest["spec"]["model"]["version"] = revision
        manifest["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = revision
        self.kubectl("apply", "--server-side", "-f", "-", given=json.dumps(manifest))

    def call(self, *argv: str, pod: str = "flights-replay") -> None:
        """Start the example's callers, with these options."""
        manifest = yaml.safe_load((PROJECT / "examples/flights/replay.yaml").read_text())
        manifest["metadata"]["name"] = pod
        manifest["spec"]["containers"][0]["command"] = ["python", "-m", "flights.replay", *argv]
        self.kubectl("apply", "--server-side", "-f", "-", given=json.dumps(manifest))
        self.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=120s")

    def heard(self, pod: str = "flights-replay") -> dict[str, Any]:
        """Return the callers' last report."""
        lines = self.kubectl("logs", pod, "--tail=1").splitlines()
        report: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return report

    def status(self, name: str = "flights") -> dict[str, Any]:
        found = json.loads(self.kubectl("get", "mdep", name, "-o", "json"))
        status: dict[str, Any] = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    def stage(self, *wanted: str, name: str = "flights", weight: int = 0) -> dict[str, Any]:
        """Wait until the machine is in one of these stages, and the candidate has this weight at least."""

        def there() -> dict[str, Any]:
            status = self.status(name)
            carried = status.get("candidate", {}).get("weight", 0)
            return status if status.get("stage") in wanted and carried >= weight else {}

        status: dict[str, Any] = until(there, f"{name} is {' or '.join(wanted)}", 240)
        return status


@dataclass(frozen=True, slots=True)
class Story:
    """What was seen."""

    first: str
    promoted: dict[str, Any]
    heard_promoted: dict[str, Any]
    rolled_back: dict[str, Any]
    heard: dict[str, Any]
    children: str


@pytest.fixture(scope="module")
def shop(sandbox: Layout) -> Iterator[Shop]:
    install(sandbox, OPERATOR, PLACE)
    yield Shop(sandbox)
    kubectl(sandbox, "delete", "namespace", PLACE, "--wait=false")
    helm(sandbox, OPERATOR, "uninstall", RELEASE, "--wait")


@pytest.fixture(scope="module")
def story(shop: Shop) -> Story:
    shop.release("v1")
    first = shop.stage("Stable")["stable"]["revision"]
    shop.call("--url", "http://flights:8080", "--rate", "250")
    until(lambda: shop.heard().get("answered", 0) > 0, "the first request is answered")
    shop.release("v2")
    shop.stage("Analysing", weight=20)
    sigkill(shop.sandbox, OPERATOR, OPERATOR_PODS)
    promoted = shop.stage("Stable", "RolledBack")
    heard_promoted = shop.heard()
    shop.release("v5")
    shop.stage("Analysing", weight=5)
    sigkill(shop.sandbox, OPERATOR, OPERATOR_PODS)
    rolled_back = shop.stage("Stable", "RolledBack")
    until(lambda: shop.heard()["sent"] >= 20_000, "20,000 requests are sent")
    candidate = rolled_back["history"][0]["revision"]
    until(lambda: candidate not in shop.kubectl("get", "deployments,services"), "the failed revision is gone")
    children = shop.kubectl("get", "deployments,services", "-l", "assay.dev/deployment=flights", "-o", "name")
    return Story(first, promoted, heard_promoted, rolled_back, shop.heard(), children)


def test_the_better_model_is_promoted(story: Story) -> None:
    ended = story.promoted["history"][0]

    assert ended["outcome"] == "Promoted"
    assert story.promoted["stable"]["revision"] == ended["revision"] != story.first
    assert story.promoted["stable"]["weight"] == 100


def test_the_failing_model_is_rolled_back_on_the_error_check_and_quarantined(story: Story) -> None:
    ended = story.rolled_back["history"][0]

    assert (story.rolled_back["stage"], ended["outcome"], ended["worstCheck"]) == ("RolledBack", "RolledBack", "errors")
    assert story.rolled_back["stable"]["revision"] == story.promoted["stable"]["revision"]
    assert story.rolled_back["stable"]["weight"] == 100
    assert [one["revision"] for one in story.rolled_back["quarantined"]] == [ended["revision"]]
    assert len(story.rolled_back["history"]) == 2  # killed twice, decided twice


def test_of_twenty_thousand_requests_through_ten_changes_of_weight_and_a_rollback_none_is_lost(story: Story) -> None:
    assert story.heard["sent"] >= 20_000
    assert story.heard["lost"] == 0


def test_nobody_is_sent_back_and_forth_while_the_weight_grows(story: Story) -> None:
    assert story.heard_promoted["returnedUsers"] == 0


def test_the_candidate_that_failed_left_no_orphan(story: Story) -> None:
    stable = story.promoted["stable"]["revision"]

    assert sorted(story.children.split()) == sorted(
        [f"deployment.apps/flights-{stable}", "deployment.apps/flights-router", "service/flights",
         "service/flights-candidate", "service/flights-stable", f"service/flights-{stable}"]
    )  # fmt: skip


def test_conditions_say_what_kubectl_wait_and_git_tools_ask(story: Story) -> None:
    promoted = {one["type"]: one["status"] for one in story.promoted["conditions"]}
    failed = {one["type"]: one for one in story.rolled_back["conditions"]}

    assert (promoted["Ready"], promoted["Reconciling"], promoted["Stalled"]) == ("True", "False", "False")
    assert (failed["Ready"]["status"], failed["Stalled"]["status"]) == ("False", "True")
    assert "Check errors failed" in failed["Ready"]["message"]


def test_users_get_their_share_and_keep_their_revision(shop: Shop) -> None:
    shop.release("v1", name="shares")
    shop.stage("Stable", name="shares")
    shop.release("v2", name="shares", steps=[{"weight": 20, "minSeconds": 3600}])
    status = shop.stage("Analysing", name="shares", weight=20)

    shop.call("--url", "http://shares:8080", "--rate", "250", "--requests", "6000", "--users", "4000", pod="callers")
    heard = until(lambda: (found := shop.heard("callers")).get("event") == "summary" and found, "the callers are done")

    users = {revision: answers["users"] for revision, answers in heard["revisions"].items()}
    everybody = sum(users.values())
    share = users[status["candidate"]["revision"]] / everybody
    assert heard["returnedUsers"] == heard["lost"] == 0
    assert abs(share - 0.2) < 3 * sqrt(0.2 * 0.8 / everybody)
