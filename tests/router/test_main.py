"""Does the program say what it needs?"""

import pytest
from click.testing import CliRunner

from assay.router.__main__ import main


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
