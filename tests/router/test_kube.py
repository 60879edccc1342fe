"""Does the agent hear of every change, whatever happens to its connection to the API server?"""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from kubernetes import client

from assay.api.base import Manifest
from assay.core.errors import ApiUnavailable, Forbidden
from assay.router import kube
from assay.router.kube import Cluster
from router.rig import A, slice_of, split_map, until

Script = list[Callable[["Exchange"], None]]


class Exchange(BaseHTTPRequestHandler):
    """One request to the API server, answered by the script."""

    protocol_version = "HTTP/1.1"
    server: "Api"

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlparse(self.path).query).items()}
        self.server.asked.append((urlparse(self.path).path, query))
        if "watch" in query:
            self.server.watches.get()(self)
        else:
            self.send_json(self.server.listing, self.server.list_status)

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.patched.append((self.path, self.headers["content-type"], body))
        self.send_json({"metadata": {}}, self.server.patch_status)

    def send_json(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_events(self, *events: object, end: bool) -> None:
        """Stream events; end the stream properly, or break the connection in the midst of it."""
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            line = json.dumps(event).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n" if end else b"ff\r\n{")
        self.close_connection = not end

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing."""


class Api(ThreadingHTTPServer):
    """An API server that answers lists with what it holds, and each watch with the next line of a script."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.listing: dict[str, Any] = {"metadata": {"resourceVersion": "10"}, "items": []}
        self.list_status = self.patch_status = 200
        self.watches: queue.Queue[Callable[[Exchange], None]] = queue.Queue()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.patched: list[tuple[str, str, dict[str, Any]]] = []

    def hold(self, *names: str, version: str = "10") -> None:
        self.listing = {"metadata": {"resourceVersion": version}, "items": [{"metadata": {"name": n}} for n in names]}

    def lists(self) -> int:
        return sum("watch" not in query for _, query in self.asked)


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        for _ in range(5):
            server.watches.put(lambda exchange: exchange.send_events(end=True))
        server.shutdown()
        thread.join()


@pytest.fixture
def cluster(api: Api, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(kube, "FIRST_PAUSE", 0.02)
    configuration = client.Configuration(host=f"http://127.0.0.1:{api.server_port}")
    configuration.retries = False
    return Cluster(client.ApiClient(configuration), "ns", "m")


class Heard:
    """What a mirror told."""

    def __init__(self) -> None:
        self.names: list[list[str]] = []

    def __call__(self, objects: list[Manifest]) -> None:
        self.names.append(sorted(manifest["metadata"]["name"] for manifest in objects))

    def last(self) -> list[str] | None:
        return self.names[-1] if self.names else None


def added(name: str, kind: str = "ADDED") -> dict[str, object]:
    return {"type": kind, "object": {"metadata": {"name": name, "resourceVersion": "11"}}}


GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}


@pytest.fixture
def heard(api: Api, cluster: Cluster) -> Iterator[Heard]:
    heard = Heard()
    api.hold("one")
    mirror = cluster.follow_slices(heard)
    mirror.start()
    until(lambda: heard.last() == ["one"], "the first list")
    yield heard
    mirror.stop()


def test_changes_are_heard_as_they_come(api: Api, heard: Heard) -> None:
    api.watches.put(
        lambda exchange: exchange.send_events(added("two"), added("one", "DELETED"), added("two", "MODIFIED"), end=True)
    )
    until(lambda: ["two"] in heard.names, "the events")
    assert heard.names[:3] == [["one"], ["one", "two"], ["two"]]


def test_a_watch_that_ends_is_followed_by_a_list(api: Api, heard: Heard) -> None:
    api.hold("missed meanwhile")
    api.watches.put(lambda exchange: exchange.send_events(end=True))
    until(lambda: heard.last() == ["missed meanwhile"], "the next list")


def test_a_version_that_is_too_old_is_cured_by_a_list(api: Api, heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    api.hold("after 410", version="99")
    api.watches.put(lambda exchange: exchange.send_events(GONE, end=True))
    until(lambda: heard.last() == ["after 410"], "the next list")
    until(lambda: api.asked[-1][1].get("resourceVersion") == "99", "the watch goes on from there")
    assert caplog.records == [], "this is daily life, not trouble"


def test_a_version_that_is_refused_at_once_is_cured_by_a_list(api: Api, heard: Heard) -> None:
    api.hold("after 410")
    api.watches.put(lambda exchange: exchange.send_json(GONE["object"], 410))
    until(lambda: heard.last() == ["after 410"], "the next list")


def test_a_connection_that_breaks_in_the_midst_of_an_event_is_opened_again(
    api: Api, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    api.hold("after the break")
    api.watches.put(lambda exchange: exchange.send_events(added("two"), end=False))
    until(lambda: heard.last() == ["after the break"], "the next list")
    assert "The last known state goes on serving." in caplog.text


@pytest.mark.reliability(trouble="API server ill", stage="any", outcome="routers forget nothing")
def test_while_the_api_server_is_ill_nothing_is_forgotten(
    api: Api, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    api.list_status = 500
    api.watches.put(lambda exchange: exchange.send_json({}, 500))
    so_far = api.lists()
    until(lambda: api.lists() >= so_far + 3, "it tries again")
    assert heard.last() == ["one"]
    assert [record.levelname for record in caplog.records] == ["WARNING"], "said once, not at every try"
    api.list_status = 200
    api.hold("well again")
    until(lambda: heard.last() == ["well again"], "the recovery")


def test_bookmarks_change_nothing(api: Api, heard: Heard) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "12"}}}
    api.watches.put(lambda exchange: exchange.send_events(bookmark, added("two"), end=True))
    until(lambda: ["one", "two"] in heard.names, "the event after the bookmark")
    assert heard.names[0:2] == [["one"], ["one", "two"]]


def test_only_what_the_role_allows_is_asked_for(api: Api, cluster: Cluster) -> None:
    cluster.split_map()
    cluster.slices()
    assert api.asked == [
        ("/api/v1/namespaces/ns/configmaps", {"fieldSelector": "metadata.name=m-router"}),
        (
            "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices",
            {"labelSelector": "assay.dev/deployment=m,assay.dev/revision"},
        ),
    ]


def test_an_acknowledgement_touches_one_key(api: Api, cluster: Cluster) -> None:
    cluster.acknowledge("m-router-0", 7)
    cluster.acknowledge("m-router-0", None)
    path, kind = "/api/v1/namespaces/ns/configmaps/m-router-acks", "application/merge-patch+json"
    assert api.patched == [(path, kind, {"data": {"m-router-0": value}}) for value in ("7", None)]


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (403, Forbidden, "does not allow this router to patch ConfigMap ns/m-router-acks"),
        (404, ApiUnavailable, "Cannot patch ConfigMap ns/m-router-acks: it does not exist yet."),
        (503, ApiUnavailable, "Cannot patch ConfigMap ns/m-router-acks: the API server answered 503"),
    ],
)
def test_a_refusal_is_told_in_a_sentence(
    api: Api, cluster: Cluster, status: int, error: type[Exception], sentence: str
) -> None:
    api.patch_status = status
    with pytest.raises(error, match=sentence):
        cluster.acknowledge("m-router-0", 7)


def test_an_api_server_that_is_not_there_is_told_in_a_sentence() -> None:
    configuration = client.Configuration(host="http://127.0.0.1:9")
    configuration.retries = False
    away = Cluster(client.ApiClient(configuration), "ns", "m")
    with pytest.raises(ApiUnavailable, match="the API server does not answer"):
        away.slices()


def test_real_shapes_come_through_unchanged(api: Api, cluster: Cluster) -> None:
    items = [split_map(1, {A: 100}), *slice_of(A, [1])]
    api.listing = {"metadata": {"resourceVersion": "1"}, "items": items}
    assert cluster.slices() == items
