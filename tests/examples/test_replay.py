import asyncio
import itertools
import json
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from examples.rig import Server, line_of, run
from flights import traffic
from flights.replay import Plan, Replay, outcome
from flights.tally import Tally


@pytest.fixture(scope="module")
def flights(artefacts: Path) -> traffic.Traffic:
    return traffic.load(artefacts / traffic.FILE)


def start(artefacts: Path, url: str, *options: str) -> subprocess.Popen[str]:
    return run("flights.replay", "--url", url, "--flights", str(artefacts / traffic.FILE), *options)


def plan(**changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "url": "",
        "rate": 500.0,
        "speedup": 1.0,
        "duration": None,
        "requests": None,
        "timeout": 0.5,
        "connections": 8,
    }
    return Plan(**(fields | changes))


def replayed(
    flights: traffic.Traffic,
    capsys: pytest.CaptureFixture[str],
    chosen: Plan,
    *handlers: Callable[[web.Request], Awaitable[web.Response]],
) -> dict[str, Any]:
    """Replay against handlers of predictions and of labels; return the summary."""

    async def run() -> None:
        app = web.Application()
        for path, handler in zip(("/v2/models/flights/infer", "/assay/outcomes"), handlers, strict=False):
            app.router.add_post(path, handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        async with ClientSession(f"http://127.0.0.1:{port}", timeout=chosen.client_timeout()) as session:
            await Replay(chosen, session).run(flights.requests(1, 100))
        await runner.cleanup()

    asyncio.run(run())
    summary: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return summary


def test_the_same_passengers_ask_the_same_things_in_every_run(flights: traffic.Traffic) -> None:
    once, again = (list(itertools.islice(flights.requests(3, 1000), 300)) for _ in range(2))
    assert once == again
    assert len({request.identifier for _, request in once}) == 300
    assert all(earlier[0] <= later[0] for earlier, later in itertools.pairwise(once))


def test_after_the_last_flight_the_season_begins_anew_with_new_ids(flights: traffic.Traffic) -> None:
    short = traffic.Traffic(
        {name: column[:2] for name, column in flights.columns.items()},
        flights.names[:2],
        flights.departures[:2],
        flights.arrivals[:2],
        flights.late[:2],
    )
    asked = list(itertools.islice(short.requests(1, 10), 6))
    assert len({request.identifier for _, request in asked}) == 6
    assert asked[0][1].user == asked[2][1].user == asked[4][1].user
    assert all(earlier[0] <= later[0] for earlier, later in itertools.pairwise(asked))


def test_what_is_unknown_is_not_sent(flights: traffic.Traffic) -> None:
    for _, request in itertools.islice(flights.requests(1, 10), 500):
        body = json.loads(request.body)
        assert body["id"] == request.identifier
        assert all(one["data"][0] == one["data"][0] for one in body["inputs"])
        assert {one["name"] for one in body["inputs"]} >= {"dep_delay", "carrier", "origin", "dest"}
        assert not {one["name"] for one in body["inputs"]} & {"late", "month", "departure", "arrival", "name"}


def test_requests_are_due_at_a_rate_or_by_the_flights_own_clock() -> None:
    assert plan(rate=200.0).due(100, 9999.0) == 0.5
    assert plan(rate=None, speedup=60.0).due(100, 120.0) == 2.0
    assert plan(rate=200.0).flights_time(3600.0, 9999.0) == 3600.0
    assert plan(rate=None, speedup=60.0).flights_time(3600.0, 100.0) == 6000.0
    assert not plan(requests=10).over(9, 0.0)
    assert plan(requests=10).over(10, 0.0)
    assert plan(duration=5.0).over(0, 5.0)


def test_a_prediction_is_compared_with_what_happened() -> None:
    body = json.dumps({"outputs": [{"name": "late", "data": [True]}]}).encode()
    assert outcome(200, body, late=True) == "correct"
    assert outcome(200, body, late=False) == "wrong"
    assert outcome(200, body, late=None) == "unlabelled"
    assert outcome(500, b"{}", late=True) is None


def test_a_user_who_is_sent_back_is_seen() -> None:
    tally = Tally()
    for milliseconds, (user, revision) in enumerate(
        [("a", "1"), ("b", "1"), ("a", "2"), ("a", "2"), ("b", "1"), ("a", "1")]
    ):
        tally.answer(revision, 200, user, None, milliseconds)
    said = tally.written()
    assert said["returnedUsers"] == 1
    assert said["revisions"]["2"] | {"outcomes": {}} == {
        "answered": 2, "firstAnswer": 2, "lastAnswer": 3, "statuses": {"200": 2}, "outcomes": {}, "users": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [
        (500, {"x-flights-model": "v5", "x-assay-revision": "0a1b2c3d"}, {}, {"500": 20}),
        (503, {"x-assay-revision": "0a1b2c3d"}, {"unsigned 503": 20}, {}),  # the router's own answer
        (504, {}, {"unsigned 504": 20}, {}),
        (200, {}, {"unsigned 200": 20}, {}),
        (0, {}, {"timeout": 20}, {}),
    ],
)
def test_answered_is_what_a_model_signed_and_everything_else_is_lost(
    flights: traffic.Traffic,
    capsys: pytest.CaptureFixture[str],
    case: tuple[int, dict[str, str], dict[str, int], dict[str, int]],
) -> None:
    status, headers, lost, statuses = case

    async def handle(_: web.Request) -> web.Response:
        if not status:
            await asyncio.Event().wait()
        return web.json_response({"outputs": [{"name": "late", "data": [True]}]}, status=status, headers=headers)

    summary = replayed(flights, capsys, plan(requests=20), handle)
    assert (summary["event"], summary["sent"], summary["waiting"]) == ("summary", 20, 0)
    assert (summary["losses"], summary["statuses"]) == (lost, statuses)
    assert summary["answered"] + summary["lost"] == 20


def test_a_whole_replay_against_a_server_is_counted_to_the_last_request(
    serve: Callable[..., Server], artefacts: Path
) -> None:
    server = serve("v2")
    replay = start(artefacts, server.url, "--rate", "400", "--requests", "600")
    out, errors = replay.communicate(timeout=60)
    assert (replay.returncode, errors) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["event"] for line in lines[:-1]} == {"progress"}
    said = lines[-1]
    assert (said["event"], said["sent"], said["answered"], said["lost"]) == ("summary", 600, 600, 0)
    assert 1.45 < said["elapsed"] < 10
    answers = said["revisions"]["unrouted"]
    assert answers["outcomes"]["correct"] > 0.85 * 600
    assert 0 < answers["lastAnswer"] - answers["firstAnswer"] <= 1000 * said["elapsed"]
    assert 'status="200"} 600.0' in server.ask("/metrics")[2].decode()


def test_labels_come_to_those_who_predicted_when_their_flights_have_landed(
    serve: Callable[..., Server], artefacts: Path
) -> None:
    server = serve("v2", labels="3600")
    replay = start(artefacts, server.url, "--rate", "2000", "--requests", "4000", "--timeout", "60")
    said = json.loads(replay.communicate(timeout=60)[0].splitlines()[-1])
    labels = said["labels"]
    assert labels["sent"] == labels["known"]
    assert 3000 < labels["sent"] < 4000, "some flights are still in the air at the end"
    assert said["lost"] == 0
    assert 'assay_outcomes_unmatched_total{reason="late"} 0.0' in server.ask("/metrics")[2].decode()


def test_labels_go_the_way_of_their_prediction_and_those_that_fail_are_no_lost_requests(
    flights: traffic.Traffic, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[tuple[str | None, str | None, list[dict[str, object]]]] = []
    statuses = {"a": 200, "b": 410, "c": 503}

    async def predict(request: web.Request) -> web.Response:
        revision = "abc"[len(await request.read()) % 3]
        headers = {"x-flights-model": "v2", "x-assay-revision": revision, "x-assay-replica": revision * 2,
                   "x-assay-prediction-id": revision * 3}  # fmt: skip
        return web.json_response({"outputs": [{"name": "late", "data": [True]}]}, headers=headers)

    async def hear(request: web.Request) -> web.Response:
        revision = request.headers["x-assay-revision"]
        outcomes = (await request.json())["outcomes"]
        told.append((revision, request.headers.get("x-assay-replica"), outcomes))
        return web.json_response({"known": len(outcomes)}, status=statuses[revision])

    summary = replayed(flights, capsys, plan(requests=400, timeout=60.0), predict, hear)
    sent = {revision: sum(len(outcomes) for one, _, outcomes in told if one == revision) for revision in "abc"}
    assert summary["labels"] == {
        "sent": sum(sent.values()), "known": sent["a"], "unknown": sent["b"], "failed": sent["c"]
    }  # fmt: skip
    assert min(sent.values()) > 0
    for revision, replica, outcomes in told:
        assert revision is not None
        assert replica == revision * 2
        assert {one["id"] for one in outcomes} == {revision * 3}
    assert (summary["answered"], summary["lost"]) == (400, 0)
    told.clear()
    assert (
        replayed(flights, capsys, plan(requests=400, timeout=60.0, labels=False), predict, hear)["labels"]["sent"] == 0
    )
    assert told == []


def test_a_killed_server_shows_as_lost_requests_and_sigterm_ends_with_the_summary(
    serve: Callable[..., Server], artefacts: Path
) -> None:
    server = serve("v2")
    replay = start(artefacts, server.url, "--rate", "100", "--timeout", "5")
    said = line_of(replay)
    assert said["answered"] > 0
    assert said["lost"] == 0
    server.process.kill()
    while not said["lost"]:
        said = line_of(replay)
    replay.send_signal(signal.SIGTERM)
    out, errors = replay.communicate(timeout=30)
    said = json.loads(out.splitlines()[-1])
    assert (replay.returncode, errors, said["event"], said["waiting"]) == (0, "", "summary", 0)
    assert said["sent"] == said["answered"] + said["lost"]
    assert said["losses"]["ClientConnectorError"] > 0


def test_without_the_held_out_flights_the_replay_says_how_to_get_them(tmp_path: Path) -> None:
    replay = start(tmp_path, "http://127.0.0.1:1")
    assert "does not exist; `python -m flights.train` writes it" in replay.communicate(timeout=30)[1]
    assert replay.returncode == 1
