from pathlib import Path
from typing import Any

import yaml

from assay.api.modeldeployment import ModelDeployment
from assay.outcomes import Outcomes
from assay.telemetry import Telemetry
from examples.rig import EXAMPLES
from flights.revisions import REVISIONS


def manifest(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(Path(EXAMPLES, "flights", name).read_text())
    return loaded


def test_the_modeldeployment_is_valid_and_its_first_revision_exists() -> None:
    spec = ModelDeployment.model_validate(manifest("modeldeployment.yaml")).spec
    container = spec.template["spec"]["containers"][0]
    assert {one["name"]: one["value"] for one in container["env"]}["FLIGHTS_REVISION"] in REVISIONS
    delays = {one["name"]: one["value"] for one in container["env"]}["FLIGHTS_LABEL_DELAYS"].split(",")
    assert {str(check.label_delay_seconds) for check in spec.analysis.checks if check.preset == "accuracy"} <= set(
        delays
    )
    assert container["ports"] == [{"name": "metrics", "containerPort": spec.serving.port}]


def test_the_replay_pod_uses_the_same_image_and_the_service_of_the_modeldeployment() -> None:
    release, pod = manifest("modeldeployment.yaml"), manifest("replay.yaml")
    (server,), (replay,) = release["spec"]["template"]["spec"]["containers"], pod["spec"]["containers"]
    assert replay["image"] == server["image"]
    assert f"http://{release['metadata']['name']}:{release['spec']['serving']['port']}" in replay["command"]


def test_the_readme_speaks_of_every_metric_and_every_revision() -> None:
    readme = Path(EXAMPLES, "flights", "README.md").read_text()
    telemetry = Telemetry(outcomes=Outcomes((5.0,)))
    metrics = [line.split()[2] for line in telemetry.exposition().decode().splitlines() if line.startswith("# TYPE")]
    for word in (*REVISIONS, *(one for one in metrics if not one.endswith("_created"))):
        assert word in readme
