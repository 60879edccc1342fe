"""The whole way of a label: model servers, the real Envoy, and the replay that sends labels when flights have landed."""

import json
from collections.abc import Callable
from pathlib import Path

from assay.router.layout import Layout
from examples.rig import Server, run
from flights import traffic
from router.model import Model
from router.rig import A, B, Rig, free_ports


def test_every_label_comes_to_the_very_server_that_predicted(
    serve: Callable[..., Server], artefacts: Path, tmp_path: Path
) -> None:
    servers = [serve(version, labels="3600") for version in ("v1", "v2", "v2")]
    http, metrics, admin = free_ports(3)
    layout = Layout(tmp_path / "run", host="127.0.0.1", http_port=http, metrics_port=metrics, admin_port=admin)
    with Rig(layout) as rig:
        rig.models += [Model(revision, server.port) for revision, server in zip((A, B, B), servers, strict=True)]
        rig.start({A: 50, B: 50})
        options = ["--rate", "400", "--requests", "1000", "--timeout", "60", "--flights", str(artefacts / traffic.FILE)]
        out, errors = run("flights.replay", "--url", rig.url, *options).communicate(timeout=200)
    assert errors == ""
    said = json.loads(out.splitlines()[-1])
    assert (said["answered"], said["lost"], set(said["revisions"])) == (1000, 0, {A, B})
    assert said["labels"]["sent"] > 500
    assert said["labels"] == {
        "sent": said["labels"]["sent"],
        "known": said["labels"]["sent"],
        "unknown": 0,
        "failed": 0,
    }
