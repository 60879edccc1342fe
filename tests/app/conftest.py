"""Fixtures of whole rounds."""

import logging
from collections.abc import Iterator

import pytest

from app.scene import KEY, Deployment, Scene, a_deployment
from assay.app.kinds import Key


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def deployment() -> Deployment:
    return a_deployment


@pytest.fixture
def key() -> Key:
    return KEY


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Undo what a test sets up: the handler of a test that is over would write to a stream that is closed."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
