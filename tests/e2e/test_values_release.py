"""Is a model that sells less rolled back by its revenue, and one that sells as much promoted, on a real cluster?

Two shops are released at the same time, under the same callers; of the one that sells as much, the stable pod is killed on the way.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from assay.sandbox.layout import Layout
from e2e.scene import TINY, Scene, tiny
from flights.shop import Shop, until

SELLS = """
import os, random
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, generate_latest

count = Counter("shop_revenue_count", "Sales.")
squares = Counter("shop_revenue_squares", "Squares of the revenue.")
total = Gauge("shop_revenue_sum", "Revenue; a gauge, because a refund takes it down.")
pays = float(os.environ["PAYS"])

class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = generate_latest() if self.path == "/metrics" else b""
        if not body:
            paid = pays * random.gauss(1, 1)
            count.inc()
            total.inc(paid)
            squares.inc(paid * paid)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("", 8080), Model).serve_forever()
"""
CALLS = """
import asyncio
import aiohttp

async def call(session, url):
    while True:
        try:
            async with session.get(url) as answer:
                await answer.read()
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.04)

async def main():
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(call(session, f"http://{name}:8080/") for name in ("poor", "fine") for _ in range(4)))

asyncio.run(main())
"""
REVENUE = {
    "name": "revenue",
    "mean": {
        "count": {"metric": "shop_revenue_count_total"},
        "sum": {"metric": "shop_revenue_sum"},
        "sumOfSquares": {"metric": "shop_revenue_squares_total"},
    },
    "better": "Higher",
}


@dataclass(frozen=True, slots=True)
class Story:
    """How both releases ended."""

    poor: dict[str, Any]
    fine: dict[str, Any]
    on_trial: dict[str, Any]
    """The second while it was judged."""


def a_shop(name: str, version: str, pays: float) -> dict[str, Any]:
    """A model whose answers earn so much on average, some of them less than nothing."""
    container = {
        "command": ["python", "-c", SELLS],
        "env": [{"name": "PAYS", "value": str(pays)}],
        "ports": [{"name": "metrics", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/metrics", "port": 8080}, "periodSeconds": 1},
    }
    manifest = tiny(name, version, container=container, checks=[REVENUE], intervalSeconds=2)
    manifest["spec"]["strategy"]["canary"]["steps"] = [{"weight": 50, "minSeconds": 5}]
    return manifest


@pytest.fixture(scope="module")
def scene(sandbox: Layout) -> Iterator[Scene]:
    shop = Shop.in_sandbox(sandbox, "selling-models", "selling-operator", "selling")
    shop.install()
    yield Scene(sandbox, shop)
    shop.uninstall()


@pytest.fixture(scope="module")
def story(scene: Scene) -> Story:
    shop = scene.shop
    caller = {**TINY, "name": "callers", "command": ["python", "-c", CALLS], "ports": []}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "callers"}, "spec": {"containers": [caller]}}
    scene.apply(a_shop("poor", "1", 1.0), a_shop("fine", "1", 1.0), pod)
    for name in ("poor", "fine"):
        shop.stage("Stable", name=name, seconds=90)
    scene.apply(a_shop("poor", "2", 0.5), a_shop("fine", "2", 1.0))
    until(lambda: looks(shop, "fine") >= 2, "two looks are counted", 60)
    (stable,) = scene.pods(f"assay.dev/deployment=fine,assay.dev/revision={shop.status('fine')['stable']['revision']}")
    scene.kill(stable, "model")
    on_trial = shop.status("fine")
    return Story(shop.stage("RolledBack", name="poor"), shop.stage("Stable", "RolledBack", name="fine"), on_trial)


def looks(shop: Shop, name: str) -> int:
    """Return how many looks of the check are on record."""
    return sum(len(check.get("valueLooks", [])) for check in shop.status(name).get("checks", []))


def test_a_model_that_sells_less_is_rolled_back_by_its_revenue(story: Story) -> None:
    ended = story.poor["history"][0]

    assert (ended["outcome"], ended["worstCheck"]) == ("RolledBack", "revenue")
    assert "Candidate mean " in ended["reason"]
    assert story.poor["stable"]["weight"] == 100
    (check,) = story.poor["checks"]
    assert 0.3 < float(check["effect"]) < 0.75
    assert check["verdict"] == "Fail"


def test_a_model_that_sells_as_much_is_promoted_though_the_pod_that_it_is_compared_with_was_killed(
    story: Story,
) -> None:
    ended = story.fine["history"][0]

    assert story.on_trial["stage"] == "Analysing"
    assert ended["outcome"] == "Promoted", ended["reason"]
    assert ended["revision"] == story.fine["stable"]["revision"]


def test_the_looks_that_the_api_server_kept_are_those_that_were_counted(story: Story) -> None:
    (check,) = story.poor["checks"]

    kept = check["valueLooks"]
    assert {len(look) for look in kept} == {7}
    assert sum(look[1] for look in kept) == check["requests"] == check["harm"]["sums"][0]
    assert sum(look[4] for look in kept) == check["harm"]["sums"][1]
