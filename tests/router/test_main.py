"""Does the program say what it needs?"""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.core.split import Backend, Split
from assay.router.__main__ import main
from assay.router.admin import Admin
from assay.router.converge import Convergence
from assay.router.layout import Endpoint, Layout
from router.rig import A


@pytest.mark.parametrize("command", ["init", "run"])
def test_missing_environment_is_named(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_POD", "m-router-0")
    monkeypatch.delenv("ASSAY_DEPLOYMENT", raising=False)
    monkeypatch.delenv("ASSAY_NAMESPACE", raising=False)
    result = CliRunner().invoke(main, [command])
    assert result.exit_code == 1
    assert "ASSAY_DEPLOYMENT, ASSAY_NAMESPACE: must be set in the environment" in result.output


def test_outside_a_pod_run_says_that_it_has_no_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASSAY_POD", "ASSAY_DEPLOYMENT", "ASSAY_NAMESPACE"):
        monkeypatch.setenv(name, "x")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    result = CliRunner().invoke(main, ["run"])
    assert result.exit_code == 1
    assert "The pod's service account cannot be read" in result.output


@pytest.fixture
def earlier(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """The files of an earlier life, and no API server."""
    split = Split(deployment="m", generation=1, backends=(Backend(revision=A, weight=100),))
    Convergence(layout, Admin(layout.admin_port)).write_first(split, {A: (Endpoint("10.0.0.1", 1),)})
    for name in ("ASSAY_POD", "ASSAY_DEPLOYMENT", "ASSAY_NAMESPACE"):
        monkeypatch.setenv(name, "m")
    monkeypatch.setenv("ASSAY_RUN_DIRECTORY", str(layout.directory))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("assay.router.__main__.signal.signal", lambda *_: None)
    monkeypatch.setattr("assay.router.__main__.ALONE_AFTER", 0.1)
    return layout


@pytest.mark.reliability(
    trouble="router sandbox made anew without API server", stage="any", outcome="starts from its last files"
)
def test_without_an_api_server_envoy_starts_from_the_files_of_an_earlier_life(
    earlier: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    before = {path: path.read_text() for path in earlier.directory.iterdir()}

    assert CliRunner().invoke(main, ["init"]).exit_code == 0

    assert "Envoy starts with what it ran last." in caplog.text
    assert {path: path.read_text() for path in earlier.directory.iterdir()} == before


@pytest.mark.parametrize("file", ["bootstrap.json", "clusters.json", "routes.json", f"endpoints-{A}.json"])
@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"\x80{")]
)
def test_envoy_does_not_start_from_files_that_are_spoilt(
    earlier: Layout, file: str, damage: Callable[[Path], object]
) -> None:
    convergence = Convergence(earlier, Admin(earlier.admin_port))
    assert convergence.can_start()

    damage(earlier.directory / file)

    assert not convergence.can_start()
