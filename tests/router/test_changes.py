"""Is any request lost while weights, replicas and routers change, and is only said what is so?"""

import asyncio
import json
import signal
from collections.abc import Mapping

import pytest

from assay.router.layout import Layout
from router.model import Model
from router.rig import A, B, C, Rig, split_map, until


def lost(counts: Mapping[tuple[int, str | None], int]) -> dict[tuple[int, str | None], int]:
    return {answer: count for answer, count in counts.items() if answer[0] != 200}


def test_no_request_is_lost_over_30_changes_of_weight_and_replicas(rig: Rig) -> None:
    stable = [rig.model(B), rig.model(B)]
    candidate = [rig.model(A), rig.model(A)]
    rig.start({A: 0, B: 100})
    with rig.load() as counts:
        for change in range(30):
            weight = (5, 25, 50, 75, 100, 0)[change % 6]
            left_out = change % 2
            rig.publish([stable[left_out], candidate[1 - left_out], *(stable + candidate if change % 3 else [])])
            rig.ask_for({A: weight, B: 100 - weight}, stickyHeader="x-user-id", salt=str(change))
    assert lost(counts) == {}
    assert min(counts[200, A], counts[200, B]) > 50


def test_no_request_is_lost_when_a_revision_comes_takes_over_and_the_old_one_goes(rig: Rig) -> None:
    old = rig.model(B)
    rig.start({B: 100})
    with rig.load() as counts:
        rig.model(A)
        rig.publish()
        for weight in (0, 5, 50, 100):
            rig.ask_for({A: weight, B: 100 - weight})
        rig.ask_for({A: 100})
        rig.do(old.stop())  # at once: the acknowledgement says that nothing is sent to it any more
        rig.publish(rig.models[1:])
        so_far = counts[200, A]
        until(lambda: counts[200, A] > so_far + 200, "requests go on")
    assert lost(counts) == {}


def test_no_request_is_lost_when_the_weight_comes_before_the_replica(rig: Rig) -> None:
    rig.model(B)
    rig.start({A: 0, B: 100})
    with rig.load() as counts:
        rig.ask_for({A: 50, B: 50}, wait=False)
        so_far = counts[200, B]
        until(lambda: counts[200, B] > so_far + 1000, "the present routes go on")
        assert rig.acks.written[-1] == 1
        rig.model(A)
        rig.publish()
        until(lambda: counts[200, A] > 200, "the newcomer has its weight")
    assert lost(counts) == {}
    until(lambda: rig.acks.written[-1] == 2, "the weight is acknowledged")


def test_a_revision_is_let_go_only_when_its_slow_requests_are_answered(rig: Rig) -> None:
    old = rig.model(B)
    rig.model(A)
    rig.start({B: 100})
    slow = asyncio.run_coroutine_threadsafe(asyncio.to_thread(rig.post, x_test_seconds="3"), rig._loop)
    until(lambda: old.in_flight == 1, "the slow request is in flight")
    rig.acks.before = lambda generation: seen.append((generation, old.in_flight))
    seen: list[tuple[int | None, int]] = []
    rig.ask_for({A: 100, B: 0})
    assert (2, 1) in seen, "a weight is acknowledged at once"
    rig.ask_for({A: 100})
    assert {in_flight for generation, in_flight in seen if generation == 3} == {0}
    answer = slow.result(10)
    assert (answer.status, answer.revision) == (200, B)
    assert not rig.layout.endpoints(B).exists()


def test_a_rollback_does_not_wait_for_a_revision_that_is_being_let_go(rig: Rig) -> None:
    slow_one = rig.model(C)
    rig.model(A), rig.model(B)
    rig.start({A: 50, B: 40, C: 10}, allowRevisionHeader=True)
    slow = asyncio.run_coroutine_threadsafe(
        asyncio.to_thread(rig.post, x_test_seconds="4", x_assay_revision=C), rig._loop
    )
    until(lambda: slow_one.in_flight == 1, "the slow request is in flight")
    rig.ask_for({A: 50, B: 50}, wait=False)
    rig.ask_for({A: 0, B: 100}, wait=False)
    until(lambda: {answer.revision for answer in rig.post_many([{}] * 20)} == {B}, "the rollback is in force", 2)
    assert slow_one.in_flight == 1
    assert slow.result(10).status == 200


INVALID = {
    "bad JSON": {"data": {"split.json": "{"}},
    "no split": {"data": {}},
    "weights of 90": split_map(7, {A: 40, B: 50}),
    "an unknown field": split_map(7, {A: 100}, mirror={"revision": B}),
    "a revision twice": {
        "data": {
            "split.json": json.dumps(
                {"deployment": "m", "generation": 7, "backends": [{"revision": A, "weight": 50}] * 2}
            )
        }
    },
    "another deployment": {"data": {"split.json": json.dumps({"deployment": "n", "generation": 7})}},
}


@pytest.mark.parametrize("invalid", INVALID.values(), ids=INVALID.keys())
@pytest.mark.reliability(trouble="split spoilt", stage="any", outcome="routers keep the last good one")
def test_an_invalid_split_never_replaces_a_good_one(
    rig: Rig, invalid: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    rig.model(A), rig.model(B)
    rig.start({A: 0, B: 100})
    before = rig.layout.routes.read_text()
    rig.agent.hear_split([invalid])
    rig.publish(rig.models[1:])  # replicas of the good split are followed all the while
    until(lambda: rig.samples("envoy_cluster_membership_healthy")[key(A)] == 0, "the change of replicas is in force")
    assert rig.layout.routes.read_text() == before
    assert rig.post().revision == B
    assert 7 not in rig.acks.written
    assert "The last good split stays in force" in caplog.text


def key(revision: str) -> tuple[tuple[str, str], ...]:
    return (("assay_revision", revision), ("assay_via", "split"))


@pytest.mark.reliability(trouble="agent killed", stage="any", outcome="recalls the split")
def test_the_last_good_split_outlives_the_agent(layout: Layout) -> None:
    with Rig(layout) as first:
        first.model(B)
        first.start({B: 100})
    with Rig(layout) as second:
        model = second.model(B)
        second.agent.hear_split([])
        second.publish()
        second.start_envoy()
        second._agent_thread.start()
        until(lambda: second.post().status == 200, "the new replica is used under the old split")
        assert model.seen > 0


@pytest.mark.parametrize("content", [b"", b"\x80{"], ids=["empty", "no text"])
@pytest.mark.parametrize("file", ["split.json", "clusters.json"])
@pytest.mark.reliability(trouble="router file spoilt", stage="any", outcome="written anew")
def test_a_file_that_the_disk_has_spoilt_is_written_anew_by_the_next_agent(
    layout: Layout, file: str, content: bytes
) -> None:
    with Rig(layout) as first:
        first.model(B)
        first.start({B: 100})
    (layout.directory / file).write_bytes(content)
    with Rig(layout) as second:
        second.model(B)
        second.publish()
        second._agent_thread.start()
        second.ask_for({B: 100}, wait=False)
        second.start_envoy()
        until(lambda: second.acks.written != [], "the split is acknowledged")
        assert second.post().revision == B


def test_a_generation_is_acknowledged_only_when_envoy_runs_it(rig: Rig) -> None:
    models = {revision: rig.model(revision) for revision in (A, B)}
    rig.start({A: 0, B: 100})
    served: list[str | None] = []
    rig.acks.before = lambda _: served.extend(answer.revision for answer in rig.post_many([{}] * 20))
    for winner, loser in ((A, B), (B, A)) * 5:
        served.clear()
        before = models[loser].seen
        rig.ask_for({winner: 100, loser: 0})
        assert set(served) == {winner}
        assert models[loser].seen == before


def test_a_frozen_envoy_is_not_acknowledged_for(rig: Rig) -> None:
    rig.model(A)
    rig.start({A: 100})
    assert rig.envoy is not None
    rig.envoy.send_signal(signal.SIGSTOP)
    generation = rig.ask_for({A: 100}, wait=False, timeoutSeconds=5)
    until(lambda: rig.agent._behind_since is not None, "the agent has asked Envoy in vain")
    assert generation not in rig.acks.written
    rig.envoy.send_signal(signal.SIGCONT)
    until(lambda: generation in rig.acks.written, "the acknowledgement after Envoy woke up")


@pytest.mark.reliability(trouble="Envoy killed", stage="any", outcome="starts where it was")
def test_envoy_restarts_where_it_was(rig: Rig) -> None:
    rig.model(A), rig.model(B)
    rig.start({A: 0, B: 100})
    rig.ask_for({A: 100, B: 0})
    assert rig.envoy is not None
    rig.envoy.kill()
    rig.envoy.wait()
    rig.start_envoy()
    assert rig.post().revision == A
    rig.ask_for({A: 0, B: 100})
    assert rig.post().revision == B


def test_a_router_that_must_go_finishes_its_requests_and_asks_callers_to_reconnect(rig: Rig) -> None:
    model: Model = rig.model(A)
    rig.start({A: 100}, timeoutSeconds=30)
    slow = asyncio.run_coroutine_threadsafe(asyncio.to_thread(rig.post, x_test_seconds="3"), rig._loop)
    until(lambda: model.in_flight == 1, "the slow request is in flight")
    left: list[int] = []
    rig.acks.before = lambda generation: left.append(model.in_flight) if generation is None else None
    rig.agent.stop()
    until(lambda: rig.get("/ready").status == 503, "readiness fails")
    late = rig.post()
    assert late.status == 200, "callers that have not heard of it yet are still served"
    assert late.headers["connection"] == "close"
    rig.ask_for({A: 100}, timeoutSeconds=31)  # it goes on following while it drains
    assert rig.join_agent(15)
    assert left == [0], "it ends, and withdraws its acknowledgement, only when no request is in flight"
    assert slow.result(10).status == 200
