"""The demo's pictures and words, from a recording of a real one."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from flights.demo import page, table
from flights.demo.timeline import Act, Evidence, Heard, Sample, look

RECORDED = Path(__file__).with_name("recorded.json")


def recorded() -> list[Act]:
    acts = []
    for one in json.loads(RECORDED.read_text())["acts"]:
        samples = [
            Sample(**{**sample, "checks": tuple(Evidence(**check) for check in sample["checks"])})
            for sample in one.pop("samples")
        ]
        acts.append(Act(**one, samples=samples))
    return acts


def shown(what: RenderableType) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123 - closed below
    console.print(what)
    console.file.close()
    return console.export_text()


def test_the_summary_has_what_was_promised_of_each_act() -> None:
    promoted, rolled_back = (act.summary() for act in recorded())

    keys = {"revision", "outcome", "seconds", "candidateRequests", "decidingCheck", "lostRequests"}
    assert set(promoted) == set(rolled_back) == keys
    assert (promoted["revision"], promoted["outcome"], promoted["decidingCheck"]) == ("v2", "Promoted", "errors")
    assert (rolled_back["revision"], rolled_back["outcome"]) == ("v5", "RolledBack")
    assert min(promoted["candidateRequests"], rolled_back["candidateRequests"]) > 0


class Links(HTMLParser):
    """Collects what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = {name: value or "" for name, value in attrs}
        if tag in {"script", "link", "img", "iframe"}:
            self.fetched.append(tag)
        self.fetched += [url for name in ("src", "xlink:href", "href") if (url := own.get(name, "")) and url[0] != "#"]


def test_the_page_is_self_contained_and_says_why_each_was_decided() -> None:
    text = page.render(recorded())

    links = Links()
    links.feed(text)
    assert links.fetched == []
    assert text.count("<svg") == 2
    assert all(f'class="outcome {outcome}"' in text for outcome in ("Promoted", "RolledBack"))
    assert all(act.reason in text for act in recorded())


def test_what_a_model_says_of_itself_cannot_write_into_the_page() -> None:
    act = recorded()[0]
    act.reason = "<script>alert(1)</script>"

    assert "<script>" not in page.render([act])


@pytest.mark.parametrize("samples", [0, 1, 5])
def test_the_table_shows_an_act_from_its_first_moment(samples: int) -> None:
    act = recorded()[1]
    act.samples = act.samples[:samples]

    assert "v5" in shown(table.live(act))


def test_the_table_shows_verdict_evidence_and_lost_requests() -> None:
    act = recorded()[1]
    act.samples.append(replace(act.samples[-1], lost=7))

    text = shown(table.live(act))

    assert "Fail" in text
    assert "100 of 100" in text
    assert re.search(r"7\s+lost", text)


def found(stable: str, stable_weight: int, **candidate: Any) -> dict[str, Any]:
    status = {"stage": "Analysing", "stable": {"revision": stable, "weight": stable_weight}, "checks": []}
    return {"status": status | ({"candidate": candidate} if candidate else {})}


def test_a_look_follows_the_revision_from_candidate_to_stable() -> None:
    heard = {"answered": 110, "lost": 3, "revisions": {"bbbbbbbb": {"answered": 10}}}
    before = Heard(100, 3)

    trial = look(1.0, found("aaaaaaaa", 90, revision="bbbbbbbb", weight=10), heard, before, "aaaaaaaa")
    after = look(2.0, found("bbbbbbbb", 100), heard, before, "aaaaaaaa")

    assert (trial.weight, trial.candidate_answers, trial.answers, trial.lost) == (10, 10, 10, 0)
    assert (after.weight, after.candidate_answers) == (100, 10)
