"""What do the headers of callers and models do, and what answers when no model can?"""

import asyncio
import time

import aiohttp

from router.rig import A, B, C, Rig, until


def test_the_response_names_the_revision_that_answered_whatever_the_model_says(rig: Rig) -> None:
    rig.model(A)
    rig.start({A: 100})
    answer = rig.post(x_test_status="500")
    assert (answer.status, answer.revision) == (500, A)


def test_a_caller_cannot_choose_a_revision_unless_allowed(rig: Rig) -> None:
    rig.model(A), rig.model(B)
    rig.start({A: 0, B: 100})
    answer = rig.post(x_assay_revision=A)
    assert (answer.status, answer.revision) == (200, B)
    assert "x-assay-revision" not in answer.seen


def test_the_request_header_reaches_that_revision_when_allowed(rig: Rig) -> None:
    rig.model(A), rig.model(B)
    rig.start({A: 0, B: 100}, allowRevisionHeader=True)
    answer = rig.post(x_assay_revision=A)
    assert (answer.status, answer.revision) == (200, A)
    assert "x-assay-revision" not in answer.seen
    assert rig.post().revision == B


def test_an_unknown_revision_is_refused_in_a_sentence(rig: Rig) -> None:
    rig.model(A)
    rig.start({A: 100}, allowRevisionHeader=True)
    answer = rig.post(x_assay_revision=C)
    assert answer.status == 404
    assert answer.text == "x-assay-revision: m serves no such revision; it serves aaaaaaaa.\n"


def test_callers_cannot_steer_envoy_by_its_internal_headers(rig: Rig) -> None:
    model = rig.model(A)
    rig.start({A: 100})
    answer = rig.post(
        x_envoy_upstream_rq_timeout_ms="1",
        x_test_seconds="0.1",
        x_envoy_retry_on="5xx",
        x_envoy_max_retries="5",
        x_envoy_fault_abort_request="418",
        x_test_status="503",
        x_request_id="mine",
    )
    assert (answer.status, model.seen) == (503, 1)
    assert [name for name in answer.seen if name.startswith("x-envoy")] == []
    assert [name for name in answer.headers if name.startswith("x-envoy")] == []
    assert answer.seen["x-request-id"] == "mine"


def test_a_revision_without_replicas_answers_503_and_never_another_one(rig: Rig) -> None:
    rig.model(A), rig.model(B)
    rig.start({A: 50, B: 50}, stickyHeader="x-user-id")
    rig.publish(rig.models[1:])
    seen: set[tuple[int, str | None]] = set()
    while not {(503, None), (200, B)} <= seen:
        answers = rig.post_many([{"x-user-id": str(number)} for number in range(50)])
        seen = {(answer.status, answer.revision) for answer in answers}
        assert seen <= {(503, None), (200, B)}
    text = next(answer.text for answer in answers if answer.status == 503)
    assert text == "No replica of split|aaaaaaaa is ready; the request is not given to another revision.\n"
    rig.ask_for({A: 60, B: 40}, wait=False, stickyHeader="x-user-id")
    moved = '"name":"split|aaaaaaaa","weight":60'
    until(lambda: moved in rig.layout.routes.read_text(), "a revision that has weight already waits for nobody")
    assert rig.acks.written[-1] == 1, "weight without a replica is not acknowledged"


def test_without_revisions_the_router_says_so(rig: Rig) -> None:
    rig.start({})
    answer = rig.post()
    assert (answer.status, answer.text) == (503, "m has no revision that serves yet; try again when it is Ready.\n")


def test_a_prediction_that_takes_too_long_ends_with_504(rig: Rig) -> None:
    rig.model(A)
    rig.start({A: 100}, timeoutSeconds=1)
    answer = rig.post(x_test_seconds="3")
    assert (answer.status, answer.text) == (
        504,
        "The revision did not answer in time (spec.traffic.router.timeoutSeconds).\n",
    )


def test_large_bodies_pass(rig: Rig) -> None:
    rig.model(A)
    rig.start({A: 100})
    size = 16 << 20
    answer = rig.post(body=b"x" * size)
    assert answer.status == 200
    assert f'"size": {size}' in answer.text


def test_streams_are_not_held_back(rig: Rig) -> None:
    rig.model(A)
    rig.start({A: 100})

    async def arrivals() -> list[float]:
        async with aiohttp.ClientSession() as session, session.post(rig.url + "/stream") as response:
            return [time.monotonic() async for _ in response.content.iter_any()]

    times = rig.do(asyncio.wait_for(arrivals(), 10))
    assert len(times) == 4
    assert times[-1] - times[0] > 0.25
