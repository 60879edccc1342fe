"""A real Envoy on loopback, real model servers behind it, and callers in front."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.router.layout import Layout
from router.rig import Rig, free_ports


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    http, metrics, admin = free_ports(3)
    return Layout(directory=tmp_path / "run", host="127.0.0.1", http_port=http, metrics_port=metrics, admin_port=admin)


@pytest.fixture
def rig(layout: Layout) -> Iterator[Rig]:
    with Rig(layout) as ready:
        yield ready
