"""The command line teaches and says what is wrong."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields

import click
import pytest
import yaml
from click.testing import CliRunner

from assay.app.cli import main
from assay.app.settings import Settings


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command, (*path, name))


@pytest.mark.parametrize("path", sorted(commands(main)), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"])

    assert result.exit_code == 0, result.output
    assert result.output.startswith("Usage: ")
    assert len(result.output.splitlines()) > 3


def test_every_setting_is_an_option_that_names_its_variable() -> None:
    text = CliRunner().invoke(main, ["run", "--help"], terminal_width=200).output

    for one in fields(Settings):
        assert f"[env: ASSAY_{one.name.upper()}]" in text


def test_the_crds_are_printed_as_yaml_and_as_json() -> None:
    as_yaml = list(yaml.safe_load_all(CliRunner().invoke(main, ["crds"]).output))
    as_json = json.loads(CliRunner().invoke(main, ["crds", "-o", "json"]).output)

    assert as_yaml == as_json["items"]
    assert "modeldeployments.assay.dev" in [one["metadata"]["name"] for one in as_yaml]


def test_the_version_is_printed_for_people_and_for_programs() -> None:
    assert CliRunner().invoke(main, ["version"]).output.startswith("assay ")
    assert set(json.loads(CliRunner().invoke(main, ["version", "-o", "json"]).output)) == {"version", "python"}


def test_a_bad_setting_is_one_sentence_and_no_trace() -> None:
    result = CliRunner().invoke(main, ["run", "--prometheus-interval", "-1"])

    assert result.exit_code == 1
    assert result.output == "Error: ASSAY_PROMETHEUS_INTERVAL must lie between 0 and 3600, not be -1.0.\n"


@pytest.mark.parametrize("command", [["run"], ["crds", "apply"]], ids=" ".join)
def test_without_a_cluster_the_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", "/nonexistent/kubeconfig")

    result = CliRunner().invoke(main, command)

    assert result.exit_code == 1
    assert "set KUBECONFIG" in result.output
    assert "Traceback" not in result.output


def test_a_sandbox_without_its_packages_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'rich'", name="rich")

    monkeypatch.setattr("assay.app.cli.importlib.import_module", absent)

    result = CliRunner().invoke(main, ["sandbox", "up", "--name", "x"])
    assert result.exit_code == 1
    assert "'rich'" in result.output
    assert "assay-operator[sandbox]" in result.output
    assert "sandbox" in CliRunner().invoke(main, ["--help"]).output


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "assay", "version"], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.startswith("assay ")
