"""The demo's table, figures and page are made from what was seen alone; here, from a recording of a real one."""

import io
import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from flights.demo import page, pictures, table, timeline
from flights.demo.timeline import Act, Ending, Release, Sample, end, look, over
from flights.demo.words import aftermath_of, outcome_of, strength

RECORDED = Path(__file__).with_name("recorded.json")
RELEASE = Release(applied=1_000.0, served="aaaaaaaa", ended=1, requests=100, lost=0)


@pytest.fixture
def promoted() -> Act:
    return timeline.load(RECORDED)[0]


@pytest.fixture
def rolled_back() -> Act:
    return timeline.load(RECORDED)[1]


def ending_of(act: Act) -> Ending:
    assert act.ending is not None
    return act.ending


def shown(what: RenderableType, width: int = 140) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(what)
    return console.export_text()


def resource(stage: str, **status: Any) -> dict[str, Any]:
    steps = [{"weight": 10}, {"weight": 50}]
    return {"spec": {"strategy": {"canary": {"steps": steps}}}, "status": {"stage": stage} | status}


def report(**answered: int) -> dict[str, Any]:
    revisions = {
        name: {
            "answered": count,
            "statuses": {"200": count - 1, "500": 1},
            "firstAnswer": 1_002_000,
            "lastAnswer": 1_030_500,
        }
        for name, count in answered.items()
    }
    return {"answered": 100 + sum(answered.values()), "lost": 3, "revisions": revisions}


ENTRY = {
    "revision": "bbbbbbbb", "outcome": "Promoted", "startTime": "1970-01-01T00:16:41.000Z",
    "endTime": "1970-01-01T00:17:10.000Z", "requests": 17, "reason": "Every required check passed.", "worstCheck": "errors",
}  # fmt: skip


def test_the_figures_have_what_the_readme_promises_of_each_act(promoted: Act, rolled_back: Act) -> None:
    promised = {"revision", "outcome", "seconds", "candidateRequests", "decidingCheck", "lostRequests"}

    assert promised <= set(promoted.summary())
    assert (promoted.summary()["revision"], promoted.summary()["outcome"]) == ("v2", "Promoted")
    assert (rolled_back.summary()["revision"], rolled_back.summary()["outcome"]) == ("v5", "RolledBack")
    assert rolled_back.summary()["decidingCheck"] == "errors"


def test_an_act_succeeded_only_with_the_promised_outcome_on_the_promised_check_and_without_a_loss(
    promoted: Act,
) -> None:
    ending = ending_of(promoted)

    assert promoted.succeeded
    assert not replace(promoted, ending=None).succeeded
    assert not replace(promoted, ending=replace(ending, outcome="RolledBack")).succeeded
    assert not replace(promoted, ending=replace(ending, check="nothing")).succeeded
    assert not replace(promoted, ending=replace(ending, lost=1)).succeeded


def test_a_model_that_is_only_wrong_must_be_found_out_by_its_labels(rolled_back: Act) -> None:
    wrong = replace(rolled_back, revision="v3")

    assert not wrong.succeeded
    assert replace(wrong, ending=replace(ending_of(rolled_back), check="accuracy")).succeeded


def test_what_was_saved_is_read_back_as_it_was(promoted: Act, rolled_back: Act, tmp_path: Path) -> None:
    undecided = replace(promoted, ending=None, samples=())
    timeline.save([promoted, rolled_back, undecided], tmp_path / "timeline.json")

    assert timeline.load(tmp_path / "timeline.json") == (promoted, rolled_back, undecided)


def test_a_look_counts_from_the_beginning_of_the_release() -> None:
    found = resource(
        "Analysing",
        stable={"revision": "aaaaaaaa", "weight": 90},
        candidate={"revision": "bbbbbbbb", "weight": 10, "step": 1},
        checks=[{"name": "errors", "verdict": "Undecided", "reason": "…", "harmEvidence": "5.1 of 100"}],
        history=[{}],
    )

    seen = look(RELEASE, 1_005.0, found, report(aaaaaaaa=90, bbbbbbbb=10))

    assert (seen.seconds, seen.step, seen.steps, seen.requests, seen.lost) == (5.0, 1, 2, 100, 3)
    assert (seen.released.weight, seen.released.answered, seen.released.failed) == (10, 10, 1)
    assert (seen.served.weight, seen.served.answered) == (90, 90)
    assert (seen.checks[0].harm, seen.checks[0].harm_limit, seen.checks[0].safety_limit) == (5.1, 100.0, 0.0)


@pytest.mark.parametrize(("outcome", "stable", "weights"), [("Promoted", "b" * 8, (100, 0)), ("RolledBack", "a" * 8, (0, 100))])  # fmt: skip
def test_a_look_follows_both_revisions_beyond_the_decision(outcome: str, stable: str, weights: tuple[int, int]) -> None:
    history = [ENTRY | {"outcome": outcome}, {}]
    found = resource("Stable", stable={"revision": stable, "weight": 100}, history=history)

    seen = look(RELEASE, 1_031.0, found, report(aaaaaaaa=90, bbbbbbbb=10))

    assert (seen.released.revision, seen.served.revision) == ("bbbbbbbb", "aaaaaaaa")
    assert (seen.released.weight, seen.served.weight) == weights
    assert seen.released.answered == 10


def test_evidence_of_the_release_before_is_not_shown_for_this_one() -> None:
    checks = [{"name": "errors", "verdict": "Pass", "reason": "…", "harmEvidence": "1 of 100"}]
    found = resource("Stable", stable={"revision": "aaaaaaaa", "weight": 100}, history=[{}], checks=checks)

    assert look(RELEASE, 1_000.2, found, report(aaaaaaaa=90)).checks == ()


def test_a_release_is_over_only_when_it_is_in_the_history_and_was_carried_out() -> None:
    assert not over(RELEASE, resource("Stable", history=[{}]))  # the operator has not seen it yet
    assert not over(RELEASE, resource("Promoting", history=[{}]))
    assert over(RELEASE, resource("Stable", history=[ENTRY, {}]))
    assert over(RELEASE, resource("RolledBack", history=[ENTRY, {}]))


def test_an_ending_says_how_soon_the_candidate_answered_and_how_soon_the_other_fell_silent() -> None:
    found = resource("Stable", history=[ENTRY, {}], checks=[])
    samples = [
        look(RELEASE, 1_000.0 + at, found, report(aaaaaaaa=90, bbbbbbbb=count)) for at, count in ((29, 17), (31, 40))
    ]

    ending = end(RELEASE, samples, found, report(aaaaaaaa=90, bbbbbbbb=50))

    assert (ending.outcome, ending.check, ending.seconds) == ("Promoted", "errors", 30.0)
    assert (ending.candidate_requests, ending.lost, ending.first_candidate_seconds) == (17, 3, 2.0)
    assert ending.verdict_to_last_request_milliseconds == 500


@pytest.mark.parametrize("count", [0, 1, 5, 10_000])
def test_the_table_shows_an_act_from_its_first_moment_to_its_last(rolled_back: Act, count: int) -> None:
    undecided = replace(rolled_back, ending=None, samples=rolled_back.samples[:count])

    assert "v5" in shown(table.live(undecided))
    assert "v5" in table.line(undecided)


def test_the_table_shows_both_revisions_the_verdict_its_evidence_and_the_losses(rolled_back: Act) -> None:
    last: Sample = replace(rolled_back.samples[-1], lost=7)

    text = shown(table.live(rolled_back.seen(last)))

    assert all(part in text for part in ("v2", rolled_back.over_hash, rolled_back.revision_hash, "Fail", "7 lost"))
    assert re.search(r"harm.*safety", text)
    assert "200 of 200" in text


def test_without_a_terminal_a_line_is_due_when_something_changed_but_not_for_evidence_alone(promoted: Act) -> None:
    marks = [table.mark(replace(promoted, ending=None, samples=promoted.samples[:count]))
             for count in range(1, len(promoted.samples))]  # fmt: skip
    changes = sum(before != after for before, after in itertools.pairwise(marks))

    assert 5 <= changes <= 20 < len(marks)


def test_the_summary_says_after_what_and_on_which_evidence_each_was_decided(promoted: Act, rolled_back: Act) -> None:
    text = " ".join(shown(table.summary([promoted, rolled_back]), width=1000).split())

    for act in (promoted, rolled_back):
        ending = ending_of(act)
        assert f"{act.revision} over {act.over}" in text
        assert f"{ending.seconds:.0f} s" in text
        assert f"{ending.candidate_requests:,} candidate requests" in text
        assert ending.reason in text


def test_a_release_that_was_not_decided_is_told_as_such(promoted: Act) -> None:
    undecided = replace(promoted, ending=None)

    assert "undecided" in shown(table.summary([undecided]))
    assert "Undecided" in page.render([undecided])
    assert undecided.summary() == {"revision": "v2", "outcome": ""}


def test_sentences_count_in_singular_and_plural(promoted: Act) -> None:
    def losing(lost: int) -> str:
        return outcome_of(replace(promoted, ending=replace(ending_of(promoted), lost=lost)))

    assert losing(0).endswith("no request was lost.")
    assert losing(1).endswith("one request was lost.")
    assert losing(1_200).endswith("1,200 requests were lost.")
    assert f"the last answer of {promoted.over}" in aftermath_of(promoted)


def test_evidence_is_a_share_of_the_way_to_its_limit() -> None:
    assert [strength(value, 100.0) for value in (0.0, 0.5, 1.0, 10.0, 100.0, 900.0)] == [0, 0, 0, 0.5, 1, 1]
    assert strength(5.0, 0.0) == 0


class Fetching(HTMLParser):
    """Collects what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "img", "iframe", "object", "embed"}:
            self.fetched.append(tag)
        self.fetched += [value for name, value in attrs
                         if name in {"src", "href", "xlink:href"} and value and not value.startswith("#")]  # fmt: skip


def test_the_page_needs_nothing_else_and_says_why_each_was_decided(promoted: Act, rolled_back: Act) -> None:
    text = page.render([promoted, rolled_back])

    reader = Fetching()
    reader.feed(text)
    assert reader.fetched == []
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert text.count("<svg") == 2
    for act in (promoted, rolled_back):
        assert ending_of(act).reason in text
        assert outcome_of(act) in text


def test_what_a_cluster_says_cannot_write_into_the_page(promoted: Act) -> None:
    hostile = replace(promoted, ending=replace(ending_of(promoted), reason="<script>alert(1)</script>"))

    assert "<script" not in page.render([hostile])


def test_the_same_samples_make_the_same_picture(rolled_back: Act) -> None:
    assert pictures.picture(rolled_back) == pictures.picture(rolled_back)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_picture_can_be_made_of_an_act_that_broke_off(promoted: Act, count: int) -> None:
    broken_off = replace(promoted, ending=None, samples=promoted.samples[:count])

    assert pictures.picture(broken_off).startswith("<svg")
