"""Helm installs the chart on a real cluster, the operator comes up with its least rights, and uninstalling is safe."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.core.permissions import PERMISSIONS, Permission
from assay.sandbox.cluster import kubectl
from assay.sandbox.errors import SandboxError
from assay.sandbox.layout import Layout
from assay.sandbox.programs import build_program
from e2e.older import lost, newer, older, put
from flights.shop import until
from modeldeployments import Manifest, written

CHART = Path(__file__).parents[2] / "charts" / "assay"
NAMESPACE, RELEASE = "chart-test", "tried"
WATCHED = "chart-watched"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-assay"


def helm(sandbox: Layout, *argv: str) -> str:
    program = build_program("helm", lambda _what, _fraction: None)
    done = subprocess.run(
        [program, "--kubeconfig", str(sandbox.kubeconfig), "--namespace", NAMESPACE, *argv],
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def release(sandbox: Layout) -> Iterator[Layout]:
    """The chart, installed to look after one namespace of its own, so that it meets no other operator."""
    put(sandbox, older())
    for name in (NAMESPACE, WATCHED):
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted"}}}  # fmt: skip
        kubectl(sandbox, "apply", "--server-side", "-f", "-", given=json.dumps(space))
    helm(sandbox, "upgrade", "--install", RELEASE, str(CHART), "--set", f"namespaces={{{WATCHED}}}", "--set",
         "intentPolicy.enabled=true", "--wait", "--timeout", "120s")  # fmt: skip
    yield sandbox
    helm(sandbox, "uninstall", RELEASE, "--wait")


def may(sandbox: Layout, verb: str, resource: str, namespace: str) -> bool:
    """Return whether the operator may do something to `plural.group/subresource`, says the API server."""
    resource, _, subresource = resource.partition("/")
    asked = ["auth", "can-i", verb, resource, f"--subresource={subresource}", f"--as={ACCOUNT}"]
    try:
        said = kubectl(sandbox, *asked, "--namespace", namespace)
    except SandboxError as error:
        said = str(error).rpartition(": ")[2]  # kubectl exits 1 with its `no`
    answer = said.split()[0]
    assert answer in {"yes", "no"}, said
    return answer == "yes"


def test_the_operator_is_ready_in_a_namespace_that_enforces_the_restricted_standard(release: Layout) -> None:
    found = json.loads(kubectl(release, "get", "deployment", f"{RELEASE}-assay", "-n", NAMESPACE, "-o", "json"))

    assert found["status"]["readyReplicas"] == 1


def test_installed_over_definitions_that_an_uninstall_left_it_brings_the_new_ones(release: Layout) -> None:
    assert lost(release, newer()) == ["status.ofTomorrow"]


def test_an_upgrade_brings_the_new_definitions_and_nothing_is_left_of_the_job(release: Layout) -> None:
    put(release, older())
    assert lost(release, newer()) == ["status.history", "status.ofTomorrow"]

    helm(release, "upgrade", RELEASE, str(CHART), "--reuse-values", "--timeout", "120s")

    assert lost(release, newer()) == ["status.ofTomorrow"]
    left = kubectl(release, "get", "job,serviceaccount,clusterrole,clusterrolebinding", "-n", NAMESPACE, "-o", "name")
    assert f"{RELEASE}-assay-crds" not in left


def test_a_downgrade_leaves_the_newer_definitions(release: Layout) -> None:
    put(release, newer())
    try:
        helm(release, "upgrade", RELEASE, str(CHART), "--reuse-values", "--timeout", "120s")

        assert lost(release, newer()) == []
    finally:
        put(release)


def test_its_metrics_are_answered_through_the_service(release: Layout) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{RELEASE}-assay-metrics:metrics/proxy/metrics"
    said = kubectl(release, "get", "--raw", path)

    assert "assay_operator_info" in said
    assert 'code="403"' not in said


@pytest.mark.parametrize("permission", PERMISSIONS, ids=lambda one: f"{one.resource}.{one.group}")
def test_it_may_do_what_is_declared_where_it_looks_after_things_and_nowhere_else(
    release: Layout, permission: Permission
) -> None:
    plural, slash, subresource = permission.resource.partition("/")
    resource = f"{plural}.{permission.group}{slash}{subresource}"

    for verb in permission.verbs:
        assert may(release, verb, resource, WATCHED)
    assert not may(release, permission.verbs[0], resource, "default")


@pytest.mark.parametrize(
    ("verb", "resource"),
    [("get", "secrets"), ("create", "pods"), ("patch", "modeldeployments"), ("escalate", "roles"), ("bind", "roles")],
)
def test_it_may_not_do_what_would_hurt(release: Layout, verb: str, resource: str) -> None:
    assert not may(release, verb, resource, WATCHED)


WISHES = ("promote", "abort", "retry")


def a_role(name: str, *verbs: str) -> list[Manifest]:
    """Return a Role in the watched namespace with these verbs on ModelDeployments, and its binding to a user of its name."""
    group = "rbac.authorization.k8s.io"
    meta, rule = {"name": name, "namespace": WATCHED}, {"apiGroups": ["assay.dev"], "resources": ["modeldeployments"]}
    subject = {"kind": "User", "apiGroup": group, "name": name}
    return [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": [{**rule, "verbs": list(verbs)}]},
        {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": meta, "subjects": [subject],
         "roleRef": {"kind": "Role", "apiGroup": group, "name": name}},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def guarded(release: Layout) -> Iterator[Layout]:
    """A ModelDeployment, a developer who may edit it, and a releaser who may wish as well."""
    edit = ("get", "create", "patch", "update", "delete")
    items = [written("guarded"), *a_role("developer", *edit), *a_role("releaser", *edit, *WISHES)]
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    kubectl(release, "apply", "--server-side", "--namespace", WATCHED, "-f", "-", given=given)
    # The API server compiles a new policy in its own time.
    until(
        lambda: "may be set only by" in wished(release, "developer", {"retry": "00000000"}),
        "the policy is in force",
        30,
    )
    yield release
    kubectl(release, "delete", "modeldeployment", "guarded", "--namespace", WATCHED)


def wished(sandbox: Layout, user: str, intent: Manifest, *more: str) -> str:
    """Set fields of spec.intent as a user; return what kubectl says, a refusal included."""
    given = json.dumps({"spec": {"intent": intent}})
    asked = ["patch", "mdep", "guarded", "--type=merge", "--patch", given, f"--as={user}", "--namespace", WATCHED]
    try:
        return kubectl(sandbox, *asked, *more)
    except SandboxError as error:
        return str(error)


@pytest.mark.parametrize("wish", WISHES)
def test_who_lacks_the_verb_is_refused_in_a_sentence_and_who_has_it_is_not(guarded: Layout, wish: str) -> None:
    refused = wished(guarded, "developer", {wish: "1a2b3c4d"})

    assert f"may be set only by who has the verb {wish} on modeldeployments.assay.dev" in refused
    assert "developer has not" in refused
    assert "patched" in wished(guarded, "releaser", {wish: "1a2b3c4d"}, "--dry-run=server")


def test_who_lacks_the_verbs_may_edit_all_else_pause_and_keep_or_clear_a_wish_but_not_change_it(
    guarded: Layout,
) -> None:
    all_three = dict.fromkeys(WISHES, "1a2b3c4d")
    assert "patched" in wished(guarded, "releaser", all_three)

    assert "patched" in wished(guarded, "developer", {"paused": True, **all_three})
    assert "may be set only by" in wished(guarded, "developer", {"retry": "1a2b3c4d-2"})
    scaled = json.dumps({"spec": {"replicas": 2}})
    kubectl(guarded, "patch", "mdep", "guarded", "--type=merge", "--patch", scaled, "--as=developer", "-n", WATCHED)
    assert "patched" in wished(guarded, "developer", {"paused": None, **dict.fromkeys(WISHES, "")})


def test_a_wish_cannot_be_smuggled_in_with_a_new_resource(guarded: Layout) -> None:
    given = json.dumps(written("smuggled", intent={"promote": "1a2b3c4d"}))

    with pytest.raises(SandboxError, match="may be set only by who has the verb promote"):
        kubectl(guarded, "create", "--as=developer", "--namespace", WATCHED, "-f", "-", given=given)


def test_the_operator_goes_on_writing_status(guarded: Layout) -> None:
    wished(guarded, "releaser", {"abort": "1a2b3c4d"})

    path = "jsonpath={.status.intent.abort.state}"
    until(lambda: kubectl(guarded, "get", "mdep", "guarded", "-n", WATCHED, "-o", path) == "Unknown", "it is told", 30)
