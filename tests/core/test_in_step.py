"""Do looks compare the same stretch of time, whose scrape is lost whenever?"""

from dataclasses import replace

from assay.core.scrapes import Events
from core.test_evidence import ARMS, counted, series, state


def arms(stable: tuple[tuple[float, float], ...], candidate: tuple[tuple[float, float], ...]) -> Events:
    return Events.proportion((), (series("s", ARMS.stable, *stable), series("c", ARMS.candidate, *candidate)))


def test_who_lost_a_scrape_is_waited_for_so_that_looks_compare_the_same_stretch_of_time() -> None:
    """A burst between 10 and 20; the candidate's scrape at 20 was lost, and at 30 tells of it too."""
    known = counted(arms(((10, 100),), ((10, 10),))).counters

    waits = counted(arms(((10, 100), (20, 900)), ((10, 10),)), known)
    comes = counted(arms(((10, 100), (20, 900), (30, 1000)), ((10, 10), (30, 100))), waits.counters)

    assert (waits.fresh, waits.late, waits.counters) == (False, "c", known)
    assert (waits.stable_seen, waits.candidate_seen, waits.events) == (False, False, (0, 0))
    assert (comes.look.stable_total, comes.look.candidate_total, comes.late) == (900, 90, "")


def test_nobody_is_waited_for_after_three_scrapes_of_another() -> None:
    known = counted(arms(((10, 100),), ((10, 10),))).counters
    stable = ((10, 100.0), (20, 110.0), (30, 120.0), (40, 130.0))

    assert counted(arms(stable[:3], ((10, 10),)), known).look.stable_total == 0
    assert counted(arms(stable[1:], ((10, 10),)), known).look.stable_total == 30, "three are enough"
    gone = counted(arms(stable, ((10, 10),)), known)
    assert (gone.look.stable_total, gone.look.candidate_total, gone.late) == (30, 0, "")

    back = counted(arms((*stable, (50, 140), (60, 150)), ((10, 10), (50, 100), (60, 107))), gone.counters)
    assert (back.look.stable_total, back.look.candidate_total) == (20, 7), "what it counted alone is left out"


def test_three_scrapes_of_any_other_are_enough() -> None:
    """The slow one was scraped twice meanwhile."""
    slow, quick = ((0, 1.0), (25, 2.0), (50, 3.0)), ((30, 5.0), (40, 6.0), (50, 7.0))
    found = arms(quick, ((20, 10),))
    events = replace(found, series=((), (*found.series[1], series("slow", ARMS.stable, *slow)), ()))
    known = (state("c", 20, (0, 0), (0, 10)), state("s", 30, (0, 5), (0, 0)), state("slow", 25, (0, 2), (0, 0)))

    assert counted(events, known).late == ""
    assert counted(events, known).look.stable_total == 2 + 1


def test_who_comes_back_begins_after_the_last_that_was_counted() -> None:
    known = (state("s", 40, (0, 100), (0, 0)), state("t", 38, (0, 100), (0, 0)))
    total = (
        series("s", ARMS.stable, (40, 100), (50, 110)),
        series("t", ARMS.stable, (38, 100), (48, 110)),
        series("c", ARMS.candidate, (39, 10), (49, 70)),
    )

    found = counted(Events.proportion((), total), known)

    assert (found.look.stable_total, found.look.candidate_total) == (20, 0)


def test_nobody_waits_for_who_was_not_known() -> None:
    """A pod that ended before the looks began is in Prometheus' window still."""
    known = counted(arms(((10, 100),), ((10, 10),))).counters
    ended = series("old", ARMS.stable, (5, 70))
    events = arms(((10, 100), (20, 200)), ((10, 10), (20, 20)))

    found = counted(replace(events, series=(events.series[0], (*events.series[1], ended), ())), known)

    assert (found.look.stable_total, found.look.candidate_total, found.late) == (100, 10, "")


def test_targets_that_are_scraped_at_other_moments_are_in_step() -> None:
    known = counted(arms(((10, 100),), ((14, 10),))).counters

    before = counted(arms(((10, 100), (20, 200)), ((14, 10),)), known)
    after = counted(arms(((10, 100), (20, 200)), ((14, 10), (24, 20))), before.counters)

    assert (before.look.stable_total, before.late) == (0, "c")
    assert (after.look.stable_total, after.look.candidate_total) == (100, 10)


def test_where_each_lost_another_scrape_the_last_that_all_told_is_looked_at() -> None:
    """At 30 the candidate's was lost, at 40 stable's; at 20 both told."""
    known = counted(arms(((10, 100),), ((10, 10),))).counters
    stable, candidate = ((10, 100.0), (20, 200.0), (30, 300.0)), ((10, 10.0), (20, 20.0), (40, 40.0))

    found = counted(arms(stable, candidate), known)

    assert (found.look.stable_total, found.look.candidate_total, found.late) == (100, 10, "")
    assert {one.pod: one.time for one in found.counters} == {"s": 20, "c": 20}


def test_nobody_is_ahead_of_another_by_a_scrape() -> None:
    """At 20 the candidate's was lost, at 30 stable's: what is nearest to 20 was told at 30, and to 30 at 20."""
    known = counted(arms(((0, 10), (10, 100)), ((0, 1), (10, 10)))).counters
    stable, candidate = ((0, 10.0), (10, 100.0), (20, 900.0)), ((0, 1.0), (10, 10.0), (30, 100.0))

    waits = counted(arms(stable, candidate), known)
    comes = counted(arms((*stable, (40, 1100)), (*candidate, (40, 110))), waits.counters)

    assert (waits.fresh, waits.late) == (False, "s")
    assert (comes.look.stable_total, comes.look.candidate_total, comes.late) == (1000, 100, "")


def missed_in_turns(last: int) -> Events:
    """After the first scrape either stable's or the candidate's was lost each time. A third pod is scraped seldom."""
    scrapes = [(100.0 + 10 * at, 100.0 * at) for at in range(1, last + 1)]
    stable, candidate = (
        [one for at, one in enumerate(scrapes, start=1) if at < 2 or at % 2 == even] for even in (0, 1)
    )
    events = arms(tuple(stable), tuple(candidate))
    seldom = series("seldom", ARMS.stable, *((at, 1.0) for at, _ in scrapes if at % 30 == 20))
    return replace(events, series=((), (*events.series[1], seldom), ()))


def test_after_six_scrapes_of_which_everyone_lost_some_it_is_looked_all_the_same() -> None:
    known = counted(missed_in_turns(1)).counters

    found = [counted(missed_in_turns(last), known) for last in range(2, 8)]

    assert [bool(one.late) for one in found] == [True] * 5 + [False]
    assert (found[-1].look.stable_total, found[-1].look.candidate_total) == (500, 400), "up to the sixth and the fifth"


def test_targets_that_are_not_known_begin_at_a_moment_of_which_all_have_told() -> None:
    begun = counted(arms(((0, 10), (10, 100), (20, 200)), ((0, 1), (10, 10), (30, 30))))

    assert {one.pod: one.time for one in begun.counters} == {"s": 10, "c": 10}


def test_scrapes_whose_moments_vary_are_of_the_same_moment_still() -> None:
    """A little more than half a time between scrapes apart, and more than that."""
    known = counted(arms(((0, 10), (10, 100)), ((0, 1), (10, 10)))).counters
    stable, candidate = ((0, 10.0), (10, 100.0), (20, 200.0)), ((0, 1.0), (10, 10.0))

    found = counted(arms(stable, (*candidate, (25.9, 20))), known)
    late = counted(arms(stable, (*candidate, (26.1, 20))), known)

    assert (found.look.stable_total, found.look.candidate_total, found.late) == (100, 10, "")
    assert (late.look.stable_total, late.late) == (0, "s")
