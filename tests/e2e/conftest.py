"""One sandbox for all end-to-end tests; KEEP=1 leaves it up, and the next run finds it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.sandbox import cluster
from assay.sandbox.layout import Layout

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(900))
