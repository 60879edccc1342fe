"""Fixtures of the adapters."""

import threading
from collections.abc import Iterator

import pytest
from kubernetes import client

from adapters.script import Script, Server
from assay.adapters.kube import KubeCluster


@pytest.fixture
def server() -> Iterator[Script]:
    with Server() as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield http.script
        http.shutdown()
        thread.join()


@pytest.fixture
def api(server: Script) -> Iterator[client.ApiClient]:
    settings = client.Configuration(host=server.url, api_key={"BearerToken": "Bearer secret"})
    settings.retries = False
    with client.ApiClient(settings) as api:
        yield api


@pytest.fixture
def calls() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def cluster(api: client.ApiClient, calls: list[tuple[str, str, str]], now: list[float]) -> KubeCluster:
    return KubeCluster(api, lambda *call: calls.append(call), lambda: now[0])
