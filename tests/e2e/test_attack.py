"""What hands and typing errors may not do to a real cluster: bad templates, names that are taken, children that are deleted.

Nothing here needs a model that runs, so that all of it takes well under a minute and a half.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from assay.sandbox.layout import Layout
from flights.shop import Shop, ShopError, until
from modeldeployments import written

NOWHERE = "nowhere.invalid/none:1"
BESIDE = "beside"  # looked after at the same time as all that is wrong
PORT = {"containerPort": 8080}
SOON = 15.0  # seconds; far less than the minute after which what nobody reads is written again


@pytest.fixture(scope="module")
def shop(sandbox: Layout) -> Iterator[Shop]:
    shop = Shop.in_sandbox(sandbox, "attacked-models", "attacked-operator", "attacked")
    shop.install()
    yield shop
    shop.uninstall()


def manifest(name: str, container: dict[str, Any] | None = None, **template: Any) -> dict[str, Any]:
    model = {"name": "model", "image": NOWHERE, "ports": [PORT], **(container or {})}
    parts = {**template, "spec": {"containers": [model], **template.get("spec", {})}}
    return written(name, template=parts, traffic={"router": {"replicas": 1}})


def volume(config_map: str) -> dict[str, Any]:
    return {"volumes": [{"name": "v", "configMap": {"name": config_map}}]}


HALF_TYPED = {
    "ports-text": manifest("ports-text", {"ports": "8080"}),
    "no-such-field": manifest("no-such-field", {"imagee": "x"}),
    "config-map-parent": manifest("config-map-parent", spec=volume("..")),
    "config-map-slash": manifest("config-map-slash", spec=volume("a/b")),
}
"""What the API server takes, because our schema keeps a template as it was written, and what a Deployment cannot have."""


def apply(shop: Shop, *wanted: dict[str, Any]) -> None:
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(wanted)})
    shop.kubectl("apply", "--server-side", "--filename", "-", given=given)


def condition(shop: Shop, name: str, kind: str) -> dict[str, str]:
    found: dict[str, dict[str, str]] = {one["type"]: one for one in shop.status(name).get("conditions", [])}
    return found.get(kind, {})


def stalled(shop: Shop, name: str) -> dict[str, str]:
    """Wait until a resource is Stalled and return that condition."""

    def there() -> dict[str, str]:
        found = condition(shop, name, "Stalled")
        return found if found.get("status") == "True" else {}

    return until(there, f"{name} is stalled", 30)


def version(shop: Shop, what: str) -> str:
    """Return which object this is: its uid, empty where there is none."""
    try:
        return shop.kubectl("get", what, "--output", "jsonpath={.metadata.uid}")
    except ShopError:
        return ""


@pytest.fixture(scope="module")
def half_typed(shop: Shop) -> dict[str, dict[str, str]]:
    apply(shop, *HALF_TYPED.values())
    apply(shop, manifest(BESIDE))
    return {name: stalled(shop, name) for name in HALF_TYPED}


@pytest.mark.parametrize("name", HALF_TYPED)
def test_a_template_that_no_deployment_can_have_is_told_as_the_users_and_not_as_ours(
    half_typed: dict[str, dict[str, str]], name: str
) -> None:
    assert half_typed[name]["reason"] in {"InvalidSpec", "ConfigMapNotFound"}
    assert "Traceback" not in half_typed[name]["message"]


@pytest.mark.usefixtures("half_typed")
def test_the_others_go_on_meanwhile(shop: Shop) -> None:
    until(lambda: shop.status(BESIDE).get("stage") == "Initialising", "the one beside them is looked after", SOON)

    assert condition(shop, BESIDE, "Stalled")["status"] == "False"


@pytest.mark.usefixtures("half_typed")
def test_the_log_shows_no_stack(shop: Shop) -> None:
    logs = shop.kubectl(
        "logs", "--selector", "app.kubernetes.io/instance=attacked", "--tail=-1", namespace=shop.operator_namespace
    )

    assert "Traceback" not in logs


@pytest.mark.parametrize(
    "what", ["configmap/{}-router", "configmap/{}-router-acks", "service/{}", "service/{}-stable", "deployment/{}-router"]
)  # fmt: skip
@pytest.mark.reliability(trouble="child deleted by hand", stage="Initialising", outcome="comes back")
def test_a_child_that_somebody_deletes_comes_back_soon(shop: Shop, what: str) -> None:
    apply(shop, manifest(BESIDE))
    child = what.format(BESIDE)
    old = until(lambda: version(shop, child), f"{child} is there", SOON)

    shop.kubectl("delete", child)

    until(lambda: version(shop, child) not in ("", old), f"{child} is there again", SOON)


def test_a_service_of_somebody_else_is_left_alone_and_the_resource_says_so(shop: Shop) -> None:
    ports = [{"name": "http", "port": 8080}]  # as ours: nothing in it would be refused by itself
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "payroll"},
              "spec": {"selector": {"app": "payroll"}, "ports": ports}}  # fmt: skip
    apply(shop, theirs)

    apply(shop, manifest("payroll"))
    message = stalled(shop, "payroll")["message"]
    shop.kubectl("delete", "modeldeployment", "payroll")

    service = json.loads(shop.kubectl("get", "service", "payroll", "--output", "json"))
    assert "payroll" in message
    assert service["spec"]["selector"] == {"app": "payroll"}
    assert "ownerReferences" not in service["metadata"]
