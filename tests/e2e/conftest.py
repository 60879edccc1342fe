"""One sandbox for all end-to-end tests; KEEP=1 leaves it up, and the next run finds it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.sandbox import cluster
from assay.sandbox.layout import Layout
from e2e.process import Operator, Place

PROJECT = Path(__file__).parents[2]


def report(what: str, fraction: float | None) -> None:
    if fraction is None:
        sys.stderr.write(f"... {what}\n")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Layout]:
    """A whole Kubernetes with the project's images."""
    layout = Layout(os.environ.get("ASSAY_TEST_SANDBOX", "test"))
    try:
        if not cluster.alive(layout):
            cluster.up(layout, report)
        cluster.load_project(layout, PROJECT, report)
        yield layout
    finally:
        if not os.environ.get("KEEP"):
            cluster.down(layout)


@pytest.fixture
def place(sandbox: Layout) -> Iterator[Place]:
    place = Place(sandbox)
    cluster.kubectl(sandbox, "apply", "--server-side", "--force-conflicts", "-f", str(PROJECT / "crds"))
    cluster.kubectl(sandbox, "create", "namespace", place.namespace)
    yield place
    cluster.kubectl(sandbox, "delete", "namespace", place.namespace, "--wait=false")


@pytest.fixture
def operator(place: Place, tmp_path: Path) -> Iterator[Operator]:
    operator = Operator(place, tmp_path)
    yield operator
    if operator.process.poll() is None:
        operator.process.kill()
        operator.process.wait()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(900))
