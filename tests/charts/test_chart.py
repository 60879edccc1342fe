"""What the chart installs is least, and what it offers is documented."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeAlias

import pytest
import yaml

from assay import __version__
from assay.adapters.kube import PLURALS
from assay.api import crd
from assay.api.intent import Intent
from assay.app.metrics import METRICS
from assay.app.settings import PREFIX, Settings
from assay.core import names
from assay.core.permissions import LEASE_PERMISSION, PERMISSIONS

CHART = Path(__file__).parents[2] / "charts" / "assay"
SWITCHES = {
    "replicas": 2,
    **{name: {"enabled": True} for name in ("serviceMonitor", "podMonitor", "prometheusRule", "intentPolicy")},
}
POLICY = "ValidatingAdmissionPolicy"

Manifest: TypeAlias = dict[str, Any]
Run: TypeAlias = Callable[..., CompletedProcess[str]]
Render: TypeAlias = Callable[..., list[Manifest]]


def only(manifests: list[Manifest], kind: str) -> Manifest:
    (found,) = (one for one in manifests if one["kind"] == kind)
    return found


def kinds(manifests: list[Manifest]) -> list[str]:
    return sorted(str(one["kind"]) for one in manifests)


def granted(role: Manifest) -> dict[tuple[str, str], set[str]]:
    """Return the verbs of a role by group and resource; no rule may be a wildcard."""
    found: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    assert not any("*" in (group, resource, *verbs) for (group, resource), verbs in found.items())
    return found


def test_helm_finds_nothing_to_complain_about(helm: Run) -> None:
    done = helm("lint", "--strict", str(CHART))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))

    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_by_default_it_installs_the_operator_and_nothing_that_needs_other_crds(render: Render) -> None:
    assert kinds(render()) == [
        *("ClusterRole", "ClusterRoleBinding", "Deployment", "Role", "RoleBinding", "Service", "ServiceAccount")
    ]


def test_every_switch_adds_its_own_object(render: Render) -> None:
    added = set(kinds(render(**SWITCHES))) - set(kinds(render()))

    ours = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "PodDisruptionBudget"}
    assert added == {*ours, POLICY, f"{POLICY}Binding"}


def test_the_role_grants_exactly_the_declared_permissions(render: Render) -> None:
    declared = {(one.group, one.resource): set(one.verbs) for one in PERMISSIONS}

    assert granted(only(render(), "ClusterRole")) == declared


def test_every_kind_that_the_operator_can_name_is_covered_by_a_permission() -> None:
    allowed = {(one.group, one.resource) for one in PERMISSIONS}

    missing = {(version.rpartition("/")[0], plural) for (version, _), plural in PLURALS.items()} - allowed

    assert missing == set()


def test_the_policy_guards_every_wish_that_spec_has_and_the_operators_rights_stay(render: Render) -> None:
    manifests = render(**SWITCHES)
    guarded = only(manifests, POLICY)["spec"]["validations"]

    wishes = {name for name, field in Intent.model_fields.items() if field.annotation is str}
    assert {wish for wish in wishes for one in guarded if f"check('{wish}')" in one["expression"]} == wishes
    assert len(guarded) == len(wishes)
    assert only(manifests, "ClusterRole") == only(render(), "ClusterRole")


def test_with_namespaces_the_policy_ends_there(render: Render) -> None:
    binding = only(render(namespaces=["shop"], **SWITCHES), f"{POLICY}Binding")["spec"]

    (selected,) = binding["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert selected["values"] == ["shop"]
    assert "matchResources" not in only(render(**SWITCHES), f"{POLICY}Binding")["spec"]


def test_where_kubernetes_has_no_such_policy_helm_says_what_to_set(helm: Run) -> None:
    done = helm("template", "assay", str(CHART), "--kube-version", "1.29.0", "--set", "intentPolicy.enabled=true")

    assert "intentPolicy.enabled needs Kubernetes 1.30 or newer" in done.stderr


def test_the_operator_can_neither_read_secrets_nor_give_itself_more_rights(render: Render) -> None:
    verbs = granted(only(render(), "ClusterRole"))

    assert ("", "secrets") not in verbs
    assert not {"escalate", "bind", "impersonate"} & set().union(*verbs.values())


def test_with_namespaces_its_rights_end_there(render: Render) -> None:
    manifests = render(namespaces=["shop", "bank"])
    bindings = [one for one in manifests if one["kind"] == "RoleBinding" and one["roleRef"]["kind"] == "ClusterRole"]

    assert "ClusterRoleBinding" not in kinds(manifests)
    assert sorted(one["metadata"]["namespace"] for one in bindings) == ["bank", "shop"]
    assert environment(manifests)["ASSAY_NAMESPACES"] == "shop,bank"


def test_without_rbac_and_account_of_its_own_it_uses_what_is_there(render: Render) -> None:
    manifests = render(rbac={"create": False}, serviceAccount={"create": False, "name": "given"})

    assert kinds(manifests) == ["Deployment", "Service"]
    assert pod(manifests)["serviceAccountName"] == "given"


def pod(manifests: list[Manifest]) -> Manifest:
    found: Manifest = only(manifests, "Deployment")["spec"]["template"]["spec"]
    return found


def environment(manifests: list[Manifest]) -> dict[str, str]:
    (container,) = pod(manifests)["containers"]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def test_the_pod_meets_the_restricted_pod_security_standard(render: Render) -> None:
    found = pod(render())
    (container,) = found["containers"]

    assert found["securityContext"]["runAsNonRoot"]
    assert found["securityContext"]["runAsUser"] == 65532
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"]
    assert "volumes" not in found


def test_the_job_that_upgrades_the_definitions_may_touch_these_and_no_other(hooks: Render) -> None:
    (rule,) = only(hooks(), "ClusterRole")["rules"]

    assert rule == {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "resourceNames": [one["metadata"]["name"] for one in crd.crds()],
        "verbs": ["get", "patch"],
    }
    account = only(hooks(), "ServiceAccount")["metadata"]["name"]
    assert [one["name"] for one in only(hooks(), "ClusterRoleBinding")["subjects"]] == [account]
    assert only(hooks(), "Job")["spec"]["template"]["spec"]["serviceAccountName"] == account


def test_it_runs_before_installs_and_upgrades_and_nothing_stays_of_it(hooks: Render) -> None:
    for one in hooks():
        assert one["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert one["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_it_runs_as_well_with_the_reused_values_of_a_release_that_did_not_know_it(hooks: Render) -> None:
    assert kinds(hooks(crds=None)) == kinds(hooks()) == ["ClusterRole", "ClusterRoleBinding", "Job", "ServiceAccount"]


def test_its_pod_is_as_restricted_as_the_operators_and_is_not_taken_for_it(hooks: Render, render: Render) -> None:
    operator, job = only(render(), "Deployment")["spec"], only(hooks(), "Job")["spec"]["template"]
    (theirs,), (ours,) = operator["template"]["spec"]["containers"], job["spec"]["containers"]

    assert job["spec"]["securityContext"] == operator["template"]["spec"]["securityContext"]
    assert (ours["securityContext"], ours["image"]) == (theirs["securityContext"], theirs["image"])
    assert not operator["selector"]["matchLabels"].items() <= job["metadata"]["labels"].items()


@pytest.mark.parametrize("values", [{"crds": {"upgrade": False}}, {"rbac": {"create": False}}])
def test_whoever_manages_definitions_or_rights_by_hand_gets_no_job(hooks: Render, values: Manifest) -> None:
    assert hooks(**values) == []


def test_a_new_operator_stands_by_before_the_old_one_goes(render: Render) -> None:
    manifests = render()
    spec = only(manifests, "Deployment")["spec"]
    (identity,) = (one for one in pod(manifests)["containers"][0]["env"] if one["name"] == "ASSAY_IDENTITY")

    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert identity["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"


def test_the_right_to_the_lease_is_for_this_lease_in_the_operators_namespace(render: Render) -> None:
    manifests = render()
    role, binding = only(manifests, "Role"), only(manifests, "RoleBinding")
    namespace, name = environment(manifests)["ASSAY_LEASE"].split("/")

    assert namespace == "assay-system"
    assert granted(role) == {(LEASE_PERMISSION.group, LEASE_PERMISSION.resource): set(LEASE_PERMISSION.verbs)}
    for rule in role["rules"]:
        assert rule.get("resourceNames") == ([name] if rule["verbs"] != ["create"] else None)
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert ("coordination.k8s.io", "leases") not in granted(only(manifests, "ClusterRole"))


def test_several_operators_are_not_evicted_at_once(render: Render) -> None:
    manifests = render(replicas=2)

    assert only(manifests, "Deployment")["spec"]["replicas"] == 2
    budget = only(manifests, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == only(manifests, "Deployment")["spec"]["selector"]


def test_what_the_chart_sets_are_settings_of_the_operator_and_what_it_leaves_are_the_same_defaults(
    render: Render,
) -> None:
    defaults = {f"{PREFIX}{one.name.upper()}": one.default for one in fields(Settings)}
    given = environment(render(namespaces=["shop"]))

    assert set(given) <= set(defaults)
    settings = Settings.from_env(environment(render()))
    assert settings == Settings(log_format="json", lease="assay-system/assay")


def test_values_reach_the_operator(render: Render) -> None:
    found = environment(
        render(prometheusUrl="https://prom", logLevel="debug", routerImage={"repository": "r/router", "tag": "7"})
    )

    assert Settings.from_env(found).prometheus_url == "https://prom"
    assert Settings.from_env(found).log_level == "debug"
    assert Settings.from_env(found).router_image == "r/router:7"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"logFormat": "xml"}, "logFormat"),
        ({"prometheusUrl": "prometheus:9090"}, "prometheusUrl"),
        ({"workers": 0}, "workers"),
        ({"replicas": 0}, "replicas"),
        ({"image": {"tags": "1"}}, "tags"),
        ({"namespaces": ["No Namespace"]}, "namespaces"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm: Run, values: Manifest, named: str) -> None:
    done = helm("template", "assay", str(CHART), "--values", "-", given=yaml.safe_dump(values))

    assert done.returncode != 0
    assert named in done.stderr


def leaves(value: Any, path: str = "") -> set[str]:
    """Return the names of values that somebody may set; what is empty or passed on as a whole counts as one."""
    if not isinstance(value, dict) or not value or path == "resources":
        return {path}
    return set().union(*(leaves(child, f"{path}.{name}".lstrip(".")) for name, child in value.items()))


def test_every_value_is_documented_by_its_name_and_described_by_the_schema() -> None:
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    for name in leaves(yaml.safe_load(text)):
        assert f"# {name} " in text, f"{name} is not documented"
        node = schema
        for part in name.split("."):
            assert part in node["properties"], f"{name} is not in the schema"
            node = node["properties"][part]


def test_objects_are_labelled_and_selected_without_the_version(render: Render) -> None:
    manifests = render(**SWITCHES)
    selector = only(manifests, "Deployment")["spec"]["selector"]["matchLabels"]

    for one in manifests:
        assert one["metadata"]["labels"]["app.kubernetes.io/version"] == __version__
        assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "assay"
        assert "namespace" not in one["metadata"]
    assert set(selector) == {f"app.kubernetes.io/{name}" for name in ("name", "instance", "component")}
    assert only(manifests, "Service")["spec"]["selector"] == selector
    assert only(manifests, "ServiceMonitor")["spec"]["selector"]["matchLabels"] == selector


def test_every_template_file_holds_one_object_of_the_kind_that_it_is_named_after(helm: Run) -> None:
    said = helm("template", "assay", str(CHART), "--values", "-", given=yaml.safe_dump(SWITCHES)).stdout
    sources = {}
    for block in said.split("---\n# Source: ")[1:]:
        source, _, text = block.partition("\n")
        sources[source] = yaml.safe_load(text)["kind"]

    assert len(sources) == len(kinds(list(yaml.safe_load_all(said))))
    for source, kind in sources.items():
        assert Path(source).stem.endswith(f"-{kind.lower()}"), source


def test_long_names_stay_names(render: Render) -> None:
    for one in render(release="r" * 53, **SWITCHES):
        assert len(one["metadata"]["name"]) <= 63


def test_the_routers_monitor_makes_the_labels_that_checks_ask_for(render: Render) -> None:
    monitor = only(render(**SWITCHES), "PodMonitor")["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    made = {one["targetLabel"]: one["sourceLabels"] for one in endpoint["relabelings"]}

    assert made == {
        names.METRIC_DEPLOYMENT: [pod_label(names.DEPLOYMENT_LABEL)],
        names.METRIC_REVISION: [pod_label(names.REVISION_LABEL)],
    }
    assert monitor["selector"]["matchExpressions"] == [{"key": names.DEPLOYMENT_LABEL, "operator": "Exists"}]


def pod_label(label: str) -> str:
    """Return what Prometheus' service discovery calls a label of a pod."""
    return "__meta_kubernetes_pod_label_" + label.replace(".", "_").replace("/", "_")


def test_alerts_ask_for_metrics_that_the_operator_has(render: Render) -> None:
    known = {one.name for one in METRICS}
    (group,) = only(render(**SWITCHES), "PrometheusRule")["spec"]["groups"]

    for rule in group["rules"]:
        assert any(name in rule["expr"] for name in known), rule["alert"]
        assert rule["annotations"]["summary"].endswith(".")


def test_the_chart_carries_the_crds_as_they_are_generated() -> None:
    found = {one.name: one.read_text(encoding="utf-8") for one in (CHART / "crds").iterdir()}

    assert found == {crd.file_name(one): crd.to_yaml(one) for one in crd.crds()}
