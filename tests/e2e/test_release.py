"""A better model is promoted, a failing and a wrong one rolled back, under traffic; in the first two the operator is killed.

The whole story is told once (about five minutes); each test then asks one question about it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from assay.app.cli import main
from assay.sandbox import cluster
from assay.sandbox.layout import Layout
from e2e.operators import sigkill
from flights.shop import Shop, until

P95 = [{"name": "p95", "preset": "latency", "quantile": "0.95"}]
EXAMPLE = yaml.safe_load((Path(__file__).parents[2] / "examples/flights/modeldeployment.yaml").read_text())
STEPS = [{"weight": weight, "minSeconds": 4} for weight in (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)]


@dataclass(frozen=True, slots=True)
class Story:
    """What was seen."""

    first: str
    promoted: dict[str, Any]
    heard_promoted: dict[str, Any]
    rolled_back: dict[str, Any]
    heard: dict[str, Any]
    children: str
    wrong: dict[str, Any]
    """After the release of a model that answers quickly and without errors, and is wrong."""
    heard_last: dict[str, Any]
    slow: dict[str, Any]
    """After the release of a model that is right, and slower."""


@pytest.fixture(scope="module")
def shop(sandbox: Layout) -> Iterator[Shop]:
    shop = Shop.in_sandbox(sandbox, "release-models", "release-operator", "tested")
    shop.install()
    yield shop
    shop.uninstall()


@pytest.fixture(scope="module")
def story(shop: Shop) -> Story:
    shop.release("v1", steps=STEPS)
    first = shop.stage("Stable")["stable"]["revision"]
    shop.call("--url", "http://flights:8080", "--rate", "250")
    until(lambda: shop.heard().get("answered", 0) > 0, "the first request is answered")
    shop.release("v2", steps=STEPS)
    shop.stage("Analysing", weight=20)
    sigkill(shop)
    promoted = shop.stage("Stable", "RolledBack")
    heard_promoted = shop.heard()
    shop.release("v5", steps=STEPS)
    shop.stage("Analysing", weight=5)
    sigkill(shop)
    rolled_back = shop.stage("Stable", "RolledBack")
    until(lambda: shop.heard()["sent"] >= 20_000, "20,000 requests are sent")
    candidate = rolled_back["history"][0]["revision"]
    until(lambda: candidate not in shop.kubectl("get", "deployments,services"), "the failed revision is gone")
    children = shop.kubectl("get", "deployments,services", "-l", "assay.dev/deployment=flights", "-o", "name")
    heard = shop.heard()
    shop.release("v3", steps=STEPS)
    wrong = shop.stage("Stable", "RolledBack")
    heard_last = shop.heard()
    shop.release("v4", steps=STEPS, checks=P95)
    slow = shop.stage("Stable", "RolledBack")
    return Story(first, promoted, heard_promoted, rolled_back, heard, children, wrong, heard_last, slow)


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


def test_the_model_that_is_only_wrong_is_rolled_back_on_labels_that_came_late(story: Story) -> None:
    ended = story.wrong["history"][0]

    assert (story.wrong["stage"], ended["outcome"], ended["worstCheck"]) == ("RolledBack", "RolledBack", "accuracy")
    assert story.wrong["stable"]["revision"] == story.promoted["stable"]["revision"]
    assert set(story.heard_last["revisions"][ended["revision"]]["statuses"]) == {"200"}


def test_the_model_that_is_only_slow_is_rolled_back_on_what_the_routers_measured(story: Story) -> None:
    ended = story.slow["history"][0]

    assert (story.slow["stage"], ended["outcome"], ended["worstCheck"]) == ("RolledBack", "RolledBack", "p95")
    found = re.search(r"ratio of the quantiles ([0-9.]+)", ended["reason"])
    assert found is not None, ended["reason"]
    assert float(found[1]) > 2
    assert story.slow["stable"]["revision"] == story.promoted["stable"]["revision"]


def test_labels_find_the_very_pod_that_predicted(story: Story) -> None:
    labels = story.heard_promoted[
        "labels"
    ]  # nothing but a pod that ended can make one unknown: v1's did, after v2 took all

    assert labels["sent"] > 5_000
    assert labels["known"] > 0.95 * labels["sent"]
    assert labels["failed"] == 0


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


DECIDED = {
    "v2": ("Promote", ""),
    "v5": ("Rollback", "errors"),
    "v3": ("Rollback", "accuracy"),
    "v4": ("Rollback", "p95"),
}


@pytest.mark.parametrize("version", DECIDED)
def test_a_rollout_that_prometheus_has_kept_is_replayed_to_the_same_decision(
    story: Story, shop: Shop, sandbox: Layout, tmp_path: Path, version: str
) -> None:
    status = {"v2": story.promoted, "v5": story.rolled_back, "v3": story.wrong, "v4": story.slow}[version]
    ended, stable = status["history"][0], story.first if version == "v2" else status["stable"]["revision"]
    spec = tmp_path / "modeldeployment.json"
    manifest = json.loads(shop.kubectl("get", "modeldeployment", "flights", "--output", "json"))
    manifest["spec"]["analysis"]["checks"] = P95 if version == "v4" else EXAMPLE["spec"]["analysis"]["checks"]
    spec.write_text(json.dumps(manifest))
    begin, end = (datetime.fromisoformat(ended[key]).timestamp() for key in ("startTime", "endTime"))
    past = {"prometheus": cluster.status(sandbox)["prometheus"], "start": begin - 10, "end": end + 10,
            "stable": stable, "candidate": ended["revision"]}  # fmt: skip

    done = CliRunner().invoke(
        main, ["replay", "--spec", str(spec), "-o", "json", *(f"--{name}={value}" for name, value in past.items())]
    )

    assert done.exit_code == 0, done.output
    (run,) = json.loads(done.stdout)["runs"]
    assert (run["decision"], run.get("check", "")) == DECIDED[version], json.dumps(run)
    assert begin < run["time"] <= end + 5  # it knows no steps, and so may promote earlier


def test_users_get_their_share_and_keep_their_revision(shop: Shop) -> None:
    shop.release("v1", name="shares")
    shop.stage("Stable", name="shares")
    shop.release("v2", name="shares", steps=[{"weight": 20, "minSeconds": 3600}])
    status = shop.stage("Analysing", name="shares", weight=20)

    shop.call("--url", "http://shares:8080", "--rate", "250", "--requests", "6000", "--users", "4000", pod="callers")
    until(lambda: shop.heard("callers").get("event") == "summary", "the callers are done")

    heard = shop.heard("callers")

    users = {revision: answers["users"] for revision, answers in heard["revisions"].items()}
    everybody = sum(users.values())
    share = users[status["candidate"]["revision"]] / everybody
    assert heard["returnedUsers"] == heard["lost"] == 0
    assert abs(share - 0.2) < 3 * sqrt(0.2 * 0.8 / everybody)
