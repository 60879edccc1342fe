"""Fixtures of simulated worlds."""

import pytest

from core.simulation import Cluster, a_spec


@pytest.fixture
def cluster() -> Cluster:
    """A model that serves."""
    return Cluster(a_spec("1")).settle()
