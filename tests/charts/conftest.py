"""The real Helm, built once, and what it makes of the chart."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from assay.sandbox.programs import build_program

CHART = Path(__file__).parents[2] / "charts" / "assay"

Manifest: TypeAlias = dict[str, Any]
Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]
Render: TypeAlias = Callable[..., list[Manifest]]


@pytest.fixture(scope="session")
def helm() -> Run:
    """Run Helm and return what it said."""
    program = build_program("helm", lambda _what, _fraction: None)

    def run(*argv: str, given: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([program, *argv], input=given, capture_output=True, text=True, check=False, timeout=60)

    return run


@pytest.fixture(scope="session")
def render(rendered: Render) -> Render:
    """Return what stays of what Helm would install with some values, without the CRDs and the hooks."""
    return lambda **values: [one for one in rendered(**values) if not hooked(one)]


@pytest.fixture(scope="session")
def hooks(rendered: Render) -> Render:
    """Return what Helm would run and remove with some values."""
    return lambda **values: [one for one in rendered(**values) if hooked(one)]


def hooked(manifest: Manifest) -> bool:
    return "helm.sh/hook" in manifest["metadata"].get("annotations", {})


@pytest.fixture(scope="session")
def rendered(helm: Run) -> Render:
    """Return all that Helm makes of the templates with some values."""

    def everything(release: str = "assay", **values: Any) -> list[Manifest]:
        done = helm("template", release, str(CHART), "--namespace", "assay-system", "--values", "-",
                    given=yaml.safe_dump(values))  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    return everything
