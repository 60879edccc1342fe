"""Does each prediction count once at each age, by the last label that came before, and never otherwise?"""

import json
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from assay.outcomes import MAX_BYTES, Outcomes
from assay.telemetry import Telemetry


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def scraped(outcomes: Outcomes) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(outcomes)
    return registry


def counted(outcomes: Outcomes, age: str = "60") -> dict[str, float]:
    """Return the outcomes that are not zero at one age."""
    registry = scraped(outcomes)
    found = {
        outcome: registry.get_sample_value("assay_outcomes_total", {"outcome": outcome, "age_seconds": age})
        for outcome in ("correct", "wrong", "unlabelled")
    }
    return {outcome: count for outcome, count in found.items() if count}


def unmatched(outcomes: Outcomes, reason: str) -> float | None:
    return scraped(outcomes).get_sample_value("assay_outcomes_unmatched_total", {"reason": reason})


def tracked(outcomes: Outcomes, value: Any) -> str:
    identifier = outcomes.predicted(value)
    assert identifier is not None
    return identifier


def test_a_prediction_counts_when_it_is_as_old_as_the_delay_and_not_before(clock: Clock) -> None:
    outcomes = Outcomes((60.0,), clock=clock)
    right, wrong = tracked(outcomes, 1), tracked(outcomes, 1)
    outcomes.predicted(1)
    assert outcomes.labelled(right, 1)
    assert outcomes.labelled(wrong, 0)
    clock.now += 59.9
    assert counted(outcomes) == {}
    clock.now += 0.1
    assert counted(outcomes) == {"correct": 1, "wrong": 1, "unlabelled": 1}
    clock.now += 1000
    assert counted(outcomes) == {"correct": 1, "wrong": 1, "unlabelled": 1}


def test_the_last_label_before_the_delay_wins_and_the_same_one_again_changes_nothing(clock: Clock) -> None:
    outcomes = Outcomes((60.0,), clock=clock)
    changed, taken_back = tracked(outcomes, 1), tracked(outcomes, 1)
    assert all(outcomes.labelled(changed, label) for label in (1, 1, 2, 2))
    assert all(outcomes.labelled(taken_back, label) for label in (1, None))
    clock.now += 60
    assert counted(outcomes) == {"wrong": 1, "unlabelled": 1}


def test_a_label_after_the_delay_counts_nowhere_but_as_late(clock: Clock) -> None:
    outcomes = Outcomes((60.0,), clock=clock)
    identifier = tracked(outcomes, 1)
    clock.now += 60
    assert not outcomes.labelled(identifier, 1)
    assert counted(outcomes) == {"unlabelled": 1}
    assert unmatched(outcomes, "late") == 1


def test_each_delay_has_a_count_of_its_own(clock: Clock) -> None:
    outcomes = Outcomes((60.0, 0.5), clock=clock)
    identifier = tracked(outcomes, 1)
    clock.now += 1
    assert outcomes.labelled(identifier, 1), "too late for one delay, in time for the other"
    clock.now += 59
    assert counted(outcomes, "0.5") == {"unlabelled": 1}
    assert counted(outcomes, "60") == {"correct": 1}
    assert unmatched(outcomes, "late") == 0


def test_every_series_is_there_from_the_beginning_so_that_its_first_event_can_be_seen_as_a_difference() -> None:
    lines = Telemetry(outcomes=Outcomes((5.0, 1_000_000.0, 0.25))).exposition().decode().splitlines()
    for age in ("5", "1000000", "0.25"):
        for outcome in ("correct", "wrong", "unlabelled"):
            assert f'assay_outcomes_total{{age_seconds="{age}",outcome="{outcome}"}} 0.0' in lines
    for reason in ("late", "unknown", "incomparable"):
        assert f'assay_outcomes_unmatched_total{{reason="{reason}"}} 0.0' in lines
    assert "assay_predictions_untracked_total 0.0" in lines


def test_without_delays_nothing_is_tracked_and_nothing_exposed() -> None:
    outcomes = Outcomes()
    assert outcomes.predicted(1) is None
    assert list(outcomes.collect()) == []


def test_ids_of_another_life_are_unknown_however_much_they_look_alike(clock: Clock) -> None:
    before, after = Outcomes((60.0,), clock=clock), Outcomes((60.0,), clock=clock)
    old, own = tracked(before, 1), tracked(after, 1)
    assert old.rpartition("-")[2] == own.rpartition("-")[2]
    for identifier in (old, "", "x", own + "9", own.replace("-", "--"), own + "9" * 5000, own[:-1] + "²"):
        assert not after.labelled(identifier, 1)
    assert unmatched(after, "unknown") == 7
    clock.now += 60
    assert counted(after) == {"unlabelled": 1}


def test_when_it_is_full_those_that_wait_are_kept_and_new_ones_are_not_tracked(clock: Clock) -> None:
    outcomes = Outcomes((60.0,), capacity=2, clock=clock)
    first, _ = tracked(outcomes, 1), tracked(outcomes, 1)
    clock.now += 30
    assert outcomes.predicted(1) is None
    assert outcomes.labelled(first, 1)
    clock.now += 30
    assert tracked(outcomes, 1), "the others have counted, so that there is room again"
    assert counted(outcomes) == {"correct": 1, "unlabelled": 1}
    assert scraped(outcomes).get_sample_value("assay_predictions_untracked_total") == 1


def test_what_was_predicted_is_forgotten_when_it_has_counted(clock: Clock) -> None:
    outcomes = Outcomes((1.0, 60.0), clock=clock)
    outcomes.predicted("x")
    clock.now += 60
    counted(outcomes)
    assert set(outcomes._values) == {None}


def test_a_comparison_of_ones_own_may_refuse_a_label(clock: Clock) -> None:
    def close(value: float, label: float) -> bool:
        return abs(value - label) < 1

    outcomes = Outcomes((60.0,), correct=close, clock=clock)
    near, odd = tracked(outcomes, 10.0), tracked(outcomes, 10.0)
    assert outcomes.labelled(near, 10.5)
    assert not outcomes.labelled(odd, "ten")
    clock.now += 60
    assert counted(outcomes) == {"correct": 1, "unlabelled": 1}
    assert unmatched(outcomes, "incomparable") == 1


@pytest.mark.parametrize("delays", [(0.0,), (-1.0,), (float("nan"),), (float("inf"),), (5.0, 5.0)])
def test_delays_that_mean_nothing_are_refused(delays: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="label_delays"):
        Outcomes(delays)


STEP = st.one_of(
    st.tuples(st.just("predict"), st.integers(0, 1)),
    st.tuples(st.just("label"), st.tuples(st.integers(0, 30), st.integers(0, 1))),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 3.0])),
    st.tuples(st.just("scrape"), st.none()),
)


@given(st.lists(STEP, max_size=60), st.integers(1, 8))
def test_each_tracked_prediction_counts_once_by_its_last_label_in_time_in_whatever_order_things_happen(
    steps: list[tuple[str, Any]], capacity: int
) -> None:
    """The oracle keeps everything, and looks at the end."""
    clock = Clock()
    outcomes = Outcomes((2.0, 5.0), capacity=capacity, clock=clock)
    made: list[tuple[str, float, int]] = []
    labels: dict[str, list[tuple[float, int]]] = {}
    for what, how in steps:
        if what == "predict" and (identifier := outcomes.predicted(how)) is not None:
            made.append((identifier, clock.now, how))
        elif what == "label" and how[0] < len(made):
            identifier, since, _ = made[how[0]]
            assert outcomes.labelled(identifier, how[1]) == (clock.now < since + 5)
            labels.setdefault(identifier, []).append((clock.now, how[1]))
        elif what == "wait":
            clock.now += how
        elif what == "scrape":
            list(outcomes.collect())
    clock.now += 1.5
    for age in (2.0, 5.0):
        expected: Counter[str] = Counter()
        for identifier, since, value in made:
            if since + age <= clock.now:
                known = [label for at, label in labels.get(identifier, []) if at < since + age]
                expected[("correct" if known[-1] == value else "wrong") if known else "unlabelled"] += 1
        assert counted(outcomes, f"{age:g}") == expected


def test_threads_lose_nothing() -> None:
    outcomes = Outcomes((1.0, 1e6), capacity=50_000)

    def work() -> None:
        for _ in range(5_000):
            assert outcomes.labelled(tracked(outcomes, 1), 1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes._clock = lambda: 1e12
    assert counted(outcomes, "1") == counted(outcomes, "1000000") == {"correct": 40_000}


def test_a_request_with_labels_is_answered_with_how_many_were_known(clock: Clock) -> None:
    outcomes = Outcomes((60.0,), clock=clock)
    labels = [{"id": tracked(outcomes, [True, False]), "label": [True, False]}, {"id": "gone", "label": True}]
    status, said = outcomes.answer(json.dumps({"outcomes": labels}).encode())
    assert (status, json.loads(said)) == (200, {"outcomes": 2, "known": 1})
    clock.now += 60
    assert counted(outcomes) == {"correct": 1}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"hello", "The body is not JSON"),
        (b"[" * 100_000, "The body is not JSON"),
        (b"[]", "outcomes is missing"),
        (b'{"outcomes": {}}', "outcomes is missing"),
        (b'{"outcomes": [{"id": "a", "label": 1}, {"id": 7, "label": 1}]}', "outcomes[1] must be an object"),
        (b'{"outcomes": [{"id": "a"}]}', "outcomes[0] must be an object"),
    ],
)
def test_labels_that_are_not_understood_are_refused_in_a_sentence_and_none_of_them_counts(
    body: bytes, sentence: str
) -> None:
    outcomes = Outcomes((60.0,))
    status, said = outcomes.answer(body)
    assert status == 400
    assert json.loads(said)["error"].startswith(sentence)
    assert unmatched(outcomes, "unknown") == 0


def test_too_many_labels_at_once_are_refused() -> None:
    status, said = Outcomes((60.0,)).answer(b" " * (MAX_BYTES + 1))
    assert status == 413
    assert "too large" in json.loads(said)["error"]


def by_class(outcomes: Outcomes) -> dict[tuple[str, str], float]:
    samples = [sample for family in scraped(outcomes).collect() for sample in family.samples]
    named = [sample for sample in samples if sample.name == "assay_outcomes_total"]
    return {(sample.labels["outcome"], sample.labels["class"]): sample.value for sample in named}


def test_outcomes_are_counted_by_the_class_of_their_label(clock: Clock) -> None:
    outcomes = Outcomes((60.0,), classes={"fraud": True, "fine": False}, clock=clock)
    assert by_class(outcomes) == {
        ("unlabelled", ""): 0, ("wrong", "fraud"): 0, ("correct", "fraud"): 0, ("wrong", "fine"): 0, ("correct", "fine"): 0
    }  # fmt: skip
    for predicted, label in ((True, True), (False, True), (False, False), (False, None), (True, "maybe")):
        identifier = tracked(outcomes, predicted)
        assert outcomes.labelled(identifier, label) is (label != "maybe")
    clock.now += 60

    assert by_class(outcomes) == {
        ("unlabelled", ""): 2, ("wrong", "fraud"): 1, ("correct", "fraud"): 1, ("wrong", "fine"): 0, ("correct", "fine"): 1
    }  # fmt: skip
    assert unmatched(outcomes, "incomparable") == 1


def test_too_many_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="classes: there are 17, and must be at most 16"):
        Outcomes((60.0,), classes={f"c{number}": number for number in range(17)})
