"""Fixtures of the adapters."""

import threading
from collections.abc import Iterator

import pytest

from adapters.script import Script, Server


@pytest.fixture
def server() -> Iterator[Script]:
    with Server() as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield http.script
        http.shutdown()
        thread.join()
