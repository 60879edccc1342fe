"""Is exactly what happened counted, whatever pods, counters and scrapes do?"""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.api.base import Verdict
from assay.api.modeldeployment import CheckStatus, CounterState
from assay.core import evidence, scrapes
from assay.core.decision import Missing, Series
from assay.core.evidence import MOST_TARGETS, Counted
from assay.core.kinds import PROPORTION, histogram_of
from assay.core.scrapes import Arms, Events, Reading
from assay.stats.proportion import Look

ARMS = Arms("aaaaaaaa", "bbbbbbbb")
OLD = 0.0


def series(pod: str, revision: str, *samples: tuple[float, float]) -> Series:
    return Series({"pod": pod, "assay_revision": revision}, samples)


def target(instance: str, *samples: tuple[float, float]) -> Series:
    return Series({"pod": "p", "assay_revision": ARMS.stable, "instance": instance, "job": "pods"}, samples)


def code(response: str, *samples: tuple[float, float]) -> Series:
    return Series({"pod": "p", "assay_revision": ARMS.stable, "code": response}, samples)


def counted(events: Events, known: tuple[CounterState, ...] = (), floor: float = OLD) -> Counted:
    readings = scrapes.read(events, ARMS)
    assert not isinstance(readings, Missing)
    return evidence.count(known, readings, floor)


def state(pod: str, time: float, stable: tuple[int, int], candidate: tuple[int, int]) -> CounterState:
    return CounterState(pod=pod, time=time, stable=list(stable), candidate=list(candidate))


def test_a_known_pod_counts_the_difference() -> None:
    known = (state("p", 10, (1, 100), (0, 10)),)
    total = series("p", ARMS.stable, (20, 150)), series("p", ARMS.candidate, (20, 30))
    bad = series("p", ARMS.stable, (20, 2)), series("p", ARMS.candidate, (20, 3))

    found = counted(Events.proportion(bad, total), known)

    assert found.look == Look(candidate_total=20, candidate_bad=3, stable_total=50, stable_bad=1)


def test_a_class_that_a_known_pod_had_not_counted_yet_begins_at_zero() -> None:
    known = (state("p", 10, (0, 100), (0, 0)),)

    found = counted(Events.proportion((series("p", ARMS.candidate, (20, 4)),), (series("p", ARMS.candidate, (20, 9)), series("p", ARMS.stable, (20, 100)))), known)  # fmt: skip

    assert found.look == Look(candidate_total=9, candidate_bad=4, stable_total=0, stable_bad=0)


def test_a_pod_that_is_not_known_is_only_baselined() -> None:
    found = counted(Events.proportion((), (series("new", ARMS.candidate, (20, 500)),)))

    assert found.look == Look(0, 0, 0, 0)
    assert [one.pod for one in found.counters] == ["new"]


def test_after_a_reset_all_that_the_pod_counted_since_is_new() -> None:
    known = (state("p", 10, (0, 100), (0, 100)),)
    total = series("p", ARMS.stable, (10, 100), (20, 7)), series("p", ARMS.candidate, (10, 100), (20, 130))

    found = counted(Events.proportion((), total), known)

    # The candidate's counter did not fall, but a pod's counters begin anew together.
    assert found.look == Look(candidate_total=130, candidate_bad=0, stable_total=7, stable_bad=0)


def test_a_part_that_grew_by_more_than_the_whole_betrays_a_reset() -> None:
    known = (state("p", 10, (0, 100), (0, 0)),)

    total = (series("p", ARMS.stable, (10, 100), (20, 110)),)

    found = counted(Events.proportion((series("p", ARMS.stable, (20, 90)),), total), known)

    assert found.look == Look(candidate_total=0, candidate_bad=0, stable_total=110, stable_bad=90)


def test_two_targets_of_one_pod_that_are_scraped_apart_are_no_resets() -> None:
    main, side = "10.0.0.1:8080", "10.0.0.1:9090"
    first = (target(main, (10, 1000)), target(side, (10.5, 50)))
    second = (target(main, (10, 1000), (20, 1010)), target(side, (10.5, 50), (20.5, 58)))
    known = counted(Events.proportion((), first)).counters

    found = counted(Events.proportion((), second), known)

    assert found.look.stable_total == 18
    assert [len(one.target) for one in found.counters] == [8, 8]


def test_a_series_that_ends_is_no_reset_and_counts_nothing() -> None:
    ending, going = code("2", (10, 1000)), code("3", (10, 14), (20, 23))
    known = counted(Events.proportion((), (code("2", (10, 1000)), code("3", (10, 14))))).counters

    found = counted(Events.proportion((), (ending, going)), known)

    assert found.look.stable_total == 9
    assert counted(Events.proportion((), (code("3", (30, 25)),)), found.counters).look.stable_total == 2


def test_a_series_that_ended_and_comes_back_goes_on_where_it_was_and_one_that_came_back_lower_began_anew() -> None:
    known = counted(Events.proportion((), (code("2", (10, 1000)), code("3", (10, 14))))).counters

    back = counted(
        Events.proportion((), (code("2", (10, 1000), (30, 1004)), code("3", (10, 14), (20, 14), (30, 14)))), known
    )
    lower = counted(
        Events.proportion((), (code("2", (10, 1000), (30, 4)), code("3", (10, 14), (20, 14), (30, 15)))), known
    )

    assert (back.look.stable_total, lower.look.stable_total) == (4, 5)


def test_where_only_the_sums_of_the_last_look_are_known_what_looks_like_a_reset_is_a_baseline() -> None:
    known = counted(Events.proportion((), (code("2", (10, 1000)), code("3", (10, 14))))).counters

    grown = counted(Events.proportion((), (code("2", (90, 1009)), code("3", (90, 14)), code("4", (90, 1)))), known)
    ended = counted(Events.proportion((), (code("3", (90, 1020)),)), known)
    fallen = counted(Events.proportion((), (code("2", (90, 100)), code("3", (90, 14), (100, 20)))), known)

    assert [one.look.stable_total for one in (grown, ended, fallen)] == [10, 0, 6]


def test_a_pod_without_newer_samples_tells_nothing_and_stays_known() -> None:
    known = (state("p", 20, (0, 100), (0, 10)),)

    found = counted(Events.proportion((), (series("p", ARMS.stable, (10, 50), (20, 100)),)), known)

    assert (found.look, found.fresh, found.counters) == (Look(0, 0, 0, 0), False, known)
    assert found.late == "", "nobody else told anything"


def test_what_was_counted_before_the_floor_is_never_subtracted_from() -> None:
    known = (state("p", 20, (0, 100), (0, 10)),)
    total = (series("p", ARMS.stable, (25, 200), (35, 300), (45, 310)),)

    found = counted(Events.proportion((), total), known, floor=30.0)

    assert found.look.stable_total == 10


def test_a_reading_at_the_very_floor_belongs_to_what_was_before() -> None:
    total = (series("p", ARMS.stable, (20, 100), (30, 104), (40, 110)),)

    assert counted(Events.proportion((), total), (state("p", 20, (0, 100), (0, 0)),), floor=20.0).look.stable_total == 6
    assert (
        counted(Events.proportion((), total), (state("p", 20, (0, 100), (0, 0)),), floor=19.0).look.stable_total == 10
    )
    assert counted(Events.proportion((), total), floor=30.0).look.stable_total == 0


def test_a_reading_shows_a_revision_by_any_event_with_or_without_a_label() -> None:
    def shown(*numbers: int) -> tuple[bool, bool]:
        stable_bad, stable, without, bad, candidate, unlabelled = numbers
        reading = Reading(1.0, np.array([stable_bad, stable, without, bad, candidate, unlabelled]))
        return reading.shows(reading.stable), reading.shows(reading.candidate)

    assert shown(0, 0, 0, 0, 0, 0) == (False, False)
    assert shown(0, 1, 0, 0, 0, 1) == (True, True)
    assert shown(0, 1, 1, 0, 1, 1) == (True, True)
    assert shown(0, 0, 1, 0, 0, 0) == (True, False)


def test_all_that_grew_is_told_of_either_revision() -> None:
    found = Counted((2, 9, 5), (1, 4, 3), PROPORTION, (), (), fresh=True, stable_seen=True, candidate_seen=True)

    assert found.look == Look(4, 1, 9, 2)
    assert (found.events, found.unlabelled) == ((7, 14), (3, 5))


def test_of_both_revisions_the_counters_of_every_kind_are_remembered_beside_how_many_series_they_were() -> None:
    def kind(revision: str, value: float) -> Series:
        return series("p", revision, (10, value))

    bad = kind(ARMS.stable, 1), kind(ARMS.candidate, 2)
    total = kind(ARMS.stable, 10), kind(ARMS.candidate, 20)
    without = kind(ARMS.stable, 3), kind(ARMS.candidate, 4)

    (kept,) = counted(Events.proportion(bad, total, without)).counters
    (plain,) = counted(Events.proportion(bad, total)).counters

    assert (kept.stable, kept.candidate, kept.unlabelled) == ([1, 10], [2, 20], [3, 4])
    assert (kept.time, kept.series, kept.target) == (10, 6, "")
    assert (plain.unlabelled, plain.series) == ([], 4)


def test_where_only_sums_are_known_all_six_are_subtracted_or_none() -> None:
    kept = CounterState(pod="p", time=10, stable=[1, 10], candidate=[2, 20], unlabelled=[3, 4], series=6)

    def since(*values: float) -> Counted:
        of = [
            series("p", arm, (20, value)) for value, arm in zip(values, (ARMS.stable, ARMS.candidate) * 3, strict=True)
        ]
        return counted(Events.proportion((of[0], of[1]), (of[2], of[3]), (of[4], of[5])), (kept,))

    found = since(2, 4, 15, 26, 10, 12)
    assert (found.look, found.unlabelled) == (Look(6, 2, 5, 1), (8, 7))
    for fallen in ((0, 4, 15, 26, 10, 12), (2, 4, 9, 26, 10, 12), (2, 4, 15, 26, 10, 3), (7, 4, 15, 26, 10, 12)):
        assert (since(*fallen).look, since(*fallen).unlabelled) == (Look(0, 0, 0, 0), (0, 0))


def test_a_target_that_has_not_grown_has_not_begun_anew() -> None:
    total = (series("p", ARMS.stable, (10, 100), (20, 100), (30, 101)),)

    found = counted(
        Events.proportion((series("p", ARMS.stable, (10, 5), (20, 5), (30, 6)),), total),
        (state("p", 10, (5, 100), (0, 0)),),
    )

    assert found.look == Look(0, 0, 1, 1)


def test_a_series_that_begins_at_zero_is_no_reset() -> None:
    known = counted(Events.proportion((), (code("2", (10, 100)),))).counters

    found = counted(Events.proportion((), (code("2", (10, 100), (20, 110)), code("3", (20, 0)))), known)

    assert found.look.stable_total == 10


def test_targets_of_a_pod_are_told_apart_by_either_label() -> None:
    for label in ("instance", "job"):
        labels = {"pod": "p", "assay_revision": ARMS.stable}
        one, other = (Series({**labels, label: name}, ((at, 9.0),)) for at, name in ((10, "a"), (11, "b")))
        assert len(counted(Events.proportion((), (one, other))).counters) == 2


def test_a_revision_was_seen_where_any_newer_scrape_shows_it() -> None:
    def seen(*values: tuple[float, float]) -> tuple[bool, bool]:
        """(stable, candidate) at each scrape."""
        total = [
            series("p", arm, *((10.0 * at, value) for at, value in enumerate(of, 1)))
            for arm, of in zip((ARMS.stable, ARMS.candidate), zip(*values, strict=True), strict=True)
        ]
        found = counted(Events.proportion((), tuple(total)))
        return found.stable_seen, found.candidate_seen

    assert seen((0, 0), (5, 0)) == (True, False)
    assert seen((0, 0), (0, 5)) == (False, True)
    assert seen((0, 5), (5, 5)) == seen((5, 0), (5, 5)) == (True, True)
    assert seen((0, 0)) == (False, False)


def test_where_not_all_targets_fit_both_revisions_are_among_those_that_do() -> None:
    names = [f"{arm}-{index * 7919 % 1000:03}" for arm in ("candidate", "stable") for index in range(200)]
    total = tuple(series(name, ARMS.stable if name[0] == "s" else ARMS.candidate, (20, 1)) for name in names)

    kept = [one.pod for one in counted(Events.proportion((), total)).counters]

    assert kept == sorted(sorted(names, key=lambda name: name[::-1])[:MOST_TARGETS])
    assert abs(sum(name[0] == "s" for name in kept) - MOST_TARGETS / 2) <= 1


def test_bad_events_of_another_scrape_are_no_measurement() -> None:
    bad, total = (series("p", ARMS.stable, (21, 1)),), (series("p", ARMS.stable, (20, 10)),)

    assert isinstance(scrapes.read(Events.proportion(bad, total), ARMS), Missing)


def outcomes(*scrapes: tuple[float, int, int, int]) -> Events:
    """A pod of the candidate that counts (correct, wrong, unlabelled) predictions at its scrapes."""
    correct, wrong, unlabelled = (
        Series({"pod": "p", "assay_revision": ARMS.candidate, "outcome": name}, tuple((one[0], one[place]) for one in scrapes))
        for place, name in ((1, "correct"), (2, "wrong"), (3, "unlabelled"))
    )  # fmt: skip
    return Events.proportion((wrong,), (correct, wrong), (unlabelled,))


def test_predictions_without_a_label_are_counted_beside_the_look() -> None:
    known = counted(outcomes((10, 90, 10, 5))).counters

    found = counted(outcomes((10, 90, 10, 5), (20, 140, 13, 25)), known)

    assert (found.look, found.unlabelled) == (Look(53, 3, 0, 0), (20, 0))
    assert found.counters[0].unlabelled == [0, 25]


@pytest.mark.parametrize("window", [((10, 90, 10, 500),), ()])
def test_a_reset_that_shows_in_the_unlabelled_alone_is_one_of_all_three_counters(
    window: tuple[tuple[float, int, int, int], ...],
) -> None:
    known = counted(outcomes((10, 90, 10, 500))).counters

    found = counted(outcomes(*window, (20, 140, 13, 4)), known)

    # All that the new life shows, where the last look's scrape is still there; else nothing: 50 more would be made up.
    assert (found.look, found.unlabelled) == ((Look(153, 13, 0, 0), (4, 0)) if window else (Look(0, 0, 0, 0), (0, 0)))


def test_a_pod_that_has_only_predictions_without_a_label_was_seen() -> None:
    only = Series({"pod": "p", "assay_revision": ARMS.candidate}, ((20, 7),))

    found = counted(Events.proportion((), (), (only,)))

    assert (found.candidate_seen, found.stable_seen) == (True, False)


def test_more_bad_events_than_events_are_no_measurement() -> None:
    bad, total = (series("p", ARMS.stable, (20, 11)),), (series("p", ARMS.stable, (20, 10)),)

    assert isinstance(scrapes.read(Events.proportion(bad, total), ARMS), Missing)


@pytest.mark.parametrize(
    "labels", [{"pod": "p"}, {"assay_revision": ARMS.stable}, {"pod": "p", "assay_revision": "cccccccc"}]
)
def test_series_of_nobody_or_of_other_revisions_are_left_out(labels: dict[str, str]) -> None:
    assert scrapes.read(Events.proportion((), (Series(labels, ((20, 10),)),)), ARMS) == {}


def test_no_more_pods_are_remembered_than_status_holds_and_the_known_stay() -> None:
    total = tuple(series(f"pod-{index:03}", ARMS.stable, (20, 1)) for index in range(MOST_TARGETS + 50))
    first = counted(Events.proportion((), total))
    again = tuple(replace(one, samples=((30, 2.0),)) for one in total)

    second = counted(Events.proportion((), again), first.counters)

    assert len(first.counters) == MOST_TARGETS
    assert CheckStatus(name="errors", verdict=Verdict.UNDECIDED, counters=list(first.counters)).counters
    assert second.look.stable_total == MOST_TARGETS


Scrape = tuple[float, tuple[int, ...]]
"""When, and stable's bad and all, the candidate's bad and all."""
Second = tuple[int, int, int, int, bool, bool]
"""What happens to a pod in a second: stable's bad and good, the candidate's bad and good, a restart, a scrape."""
History = tuple[list[list[Second]], list[int]]
"""The seconds of each pod, and at which of them one looks."""


@st.composite
def histories(draw: st.DrawFn) -> History:
    """For some pods, what happens in each second (four increments, restart, scraped); and when one looks."""
    seconds = draw(st.integers(2, 25))
    step = st.tuples(*[st.integers(0, 9)] * 4, st.sampled_from([False] * 7 + [True]), st.booleans())
    pods = draw(st.lists(st.lists(step, min_size=seconds, max_size=seconds), min_size=1, max_size=4))
    return pods, sorted(draw(st.sets(st.integers(1, seconds), min_size=1, max_size=6)))


def _lived(history: list[Second]) -> tuple[list[Scrape], Look]:
    """Return a pod's scrapes, and what they allow anyone to know: what happened between scrapes of one life."""
    numbers: tuple[int, ...] = (0, 0, 0, 0)
    scrapes: list[Scrape] = []
    known, since = [0, 0, 0, 0], numbers
    for second, (bad_s, good_s, bad_c, good_c, restart, scraped) in enumerate(history, start=1):
        if restart:
            numbers, since = (0, 0, 0, 0), (0, 0, 0, 0)
        numbers = tuple(a + b for a, b in zip(numbers, (bad_s, bad_s + good_s, bad_c, bad_c + good_c), strict=True))
        if scraped:
            if scrapes:
                known = [a + b - c for a, b, c in zip(known, numbers, since, strict=True)]
            scrapes.append((float(second), numbers))
            since = numbers
    return scrapes, Look(candidate_total=known[3], candidate_bad=known[2], stable_total=known[1], stable_bad=known[0])


def _events(lives: list[list[Scrape]], until: float) -> Events:
    found: dict[tuple[int, str, str], list[tuple[float, float]]] = defaultdict(list)
    for pod, told in enumerate(lives):
        for at, numbers in told:
            for index, (kind, arm) in enumerate(
                (k, a) for a in (ARMS.stable, ARMS.candidate) for k in ("bad", "total")
            ):
                if at <= until and numbers[index]:  # a counter has no series before its first increment
                    found[pod, kind, arm].append((at, float(numbers[index])))
    made = {key: series(f"pod-{key[0]}", key[2], *samples) for key, samples in found.items()}
    return Events.proportion(
        tuple(one for key, one in made.items() if key[1] == "bad"),
        tuple(one for key, one in made.items() if key[1] == "total"),
    )


@given(histories())
@pytest.mark.reliability(
    trouble="counters reset, pods come and go, scrapes lost",
    stage="any",
    outcome="nothing is counted that did not happen",
)
def test_no_event_is_counted_that_did_not_happen(history: History) -> None:
    pods, looks = history
    lives = [_lived(pod)[0] for pod in pods]
    happened = [sum(sum(second[:4]) for second in pod) for pod in pods]
    known: tuple[CounterState, ...] = ()
    total = 0

    for until in looks:
        found = counted(_events(lives, until), known)
        known, total = found.counters, total + found.look.candidate_total + found.look.stable_total

    assert total <= sum(happened)


def steady(pods: list[list[Second]]) -> list[list[Second]]:
    """Nobody loses so many scrapes that the others wait no longer."""
    return [[(*second[:5], second[5] or at % 2 == 0) for at, second in enumerate(pod)] for pod in pods]


@given(histories())
def test_without_restarts_every_event_between_scrapes_is_counted_once(history: History) -> None:
    pods, looks = history
    # Each pod has counted something before its first scrape, so that it is known from then on; at the end all are scraped.
    begin, end = (0, 1, 0, 1, False, True), (0, 0, 0, 0, False, True)
    calm = [[begin, *[(*second[:4], False, second[5]) for second in pod], end] for pod in steady(pods)]
    lives, looked = zip(*[_lived(pod) for pod in calm], strict=True)
    known: tuple[CounterState, ...] = ()
    sums = [0, 0, 0, 0]

    for until in (*looks, len(calm[0])):
        found = counted(_events(list(lives), until), known)
        known = found.counters
        parts = found.look.candidate_total, found.look.candidate_bad, found.look.stable_total, found.look.stable_bad
        sums = [a + b for a, b in zip(sums, parts, strict=True)]

    assert sums == [
        sum(getattr(one, part) for one in looked)
        for part in ("candidate_total", "candidate_bad", "stable_total", "stable_bad")
    ]


@given(histories())
def test_looking_more_often_counts_the_same(history: History) -> None:
    pods, looks = history
    lives = [_lived(pod)[0] for pod in steady(pods)]
    last = float(looks[-1])
    often: tuple[CounterState, ...] = ()
    total = 0

    for until in looks:
        found = counted(_events(lives, until), often)
        often, total = found.counters, total + found.look.stable_total
    once = counted(_events(lives, last))

    assert total == once.look.stable_total
    assert often == once.counters


def buckets(pod: str, revision: str, *scrapes: tuple[float, int, int, int]) -> tuple[Series, ...]:
    """Return events up to 0.1, up to 0.2 and all, at each scrape."""
    return tuple(series(pod, revision, *((scrape[0], scrape[1 + kind]) for scrape in scrapes)) for kind in range(3))


def histogram(*arms: tuple[Series, ...]) -> Events:
    kinds = tuple(tuple(arm[kind] for arm in arms) for kind in range(3))
    return Events(kinds, histogram_of((0.1, 0.2)), (0.1, 0.2))


def test_a_histogram_is_counted_bucket_by_bucket_also_across_a_reset() -> None:
    stable = buckets("p", ARMS.stable, (10, 5, 8, 10), (20, 50, 80, 100), (30, 50, 80, 100))
    restarted = buckets("q", ARMS.candidate, (10, 5, 8, 10), (20, 6, 9, 11), (30, 1, 1, 4))
    first = counted(histogram(stable, restarted))
    assert first.events == (5, 90)
    assert first.histogram.candidate == (2, 0, 3)  # 1 + 1 in the first bucket; of 1 + 4 events 2 + 0 up to 0.2
    assert first.histogram.stable == (45, 27, 18)
    again = counted(histogram(buckets("p", ARMS.stable, (90, 51, 83, 104))), first.counters)
    assert again.histogram.stable == (1, 2, 1)
    assert again.histogram.candidate == (0, 0, 0)


def test_a_histogram_of_other_bounds_is_not_subtracted_from_the_last_one() -> None:
    known = counted(histogram(buckets("p", ARMS.stable, (10, 5, 8, 10)))).counters
    wider = Events(
        (*histogram(buckets("p", ARMS.stable, (90, 9, 9, 20))).series, (series("p", ARMS.stable, (90, 20)),)),
        histogram_of((0.1, 0.2, 0.4)),
        (0.1, 0.2, 0.4),
    )
    assert not any(counted(wider, known).events)


def test_a_histogram_that_counts_more_up_to_a_bound_than_up_to_the_next_is_refused() -> None:
    found = scrapes.read(histogram(buckets("p", ARMS.stable, (10, 9, 8, 10))), ARMS)
    assert found == Missing("pod p counts more events up to 0.1 than events up to 0.2, of which they must be a part")


def native(*arms: tuple[Series, ...]) -> Events:
    return replace(histogram(*arms), kinds=histogram_of((0.1, 0.2), native=True))


def test_joined_buckets_of_a_native_histogram_are_no_reset_and_count_nothing_until_the_next_scrape() -> None:
    joined = buckets("p", ARMS.stable, (10, 50, 80, 100), (20, 0, 85, 110), (30, 0, 87, 112))
    found = counted(native(joined, buckets("q", ARMS.candidate, (10, 1, 1, 1), (20, 2, 2, 3), (30, 2, 2, 3))))
    assert found.histogram.stable == (0, 2, 0)
    assert found.histogram.candidate == (1, 0, 1)
    anew = counted(native(buckets("p", ARMS.stable, (10, 50, 80, 100), (20, 1, 2, 5))))
    assert anew.histogram.stable == (1, 1, 3), "all fell: it began anew"


def test_where_there_is_no_room_for_all_targets_each_revision_has_its_share() -> None:
    wide = histogram_of([0.01 * bound for bound in range(1, 100)])
    pods = [(f"stable-{number:03}", ARMS.stable) for number in range(100)]
    pods += [(f"candidate-{number}", ARMS.candidate) for number in range(2)]
    events = Events(tuple(tuple(series(pod, revision, (10, 5)) for pod, revision in pods) for _ in wide.names), wide)
    chosen = {one.pod for one in counted(events).counters}
    assert {"candidate-0", "candidate-1"} < chosen
    assert len(chosen) == 8_192 // 200
