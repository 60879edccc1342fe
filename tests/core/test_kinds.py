"""What may be believed of a number follows from what it is called: counts are whole, squares never fall, parts are no more than wholes."""

import pytest

from assay.core.kinds import GAUGE, GOOD, MEAN, PROPORTION, RATIO, Kinds, histogram_of

VALUES = [MEAN, RATIO, GAUGE]
NAMES = ["mean", "ratio", "gauge"]


def places(kinds: Kinds, *beginnings: str) -> tuple[int, ...]:
    """Those whose name begins so."""
    return tuple(place for place, name in enumerate(kinds.names) if name.startswith(beginnings))


@pytest.mark.parametrize("kinds", VALUES, ids=NAMES)
def test_events_are_what_is_a_number_of_something_and_all_else_is_a_sum(kinds: Kinds) -> None:
    assert kinds.events == places(kinds, "number of")
    assert kinds.sums == places(kinds, "sum of", "gauge")
    assert len(kinds.events) + len(kinds.sums) == kinds.width
    assert (kinds.parts, kinds.labelled, kinds.coarsens) == ((), False, False)


@pytest.mark.parametrize("kinds", VALUES, ids=NAMES)
def test_a_sum_may_fall_with_a_negative_value_unless_it_is_one_of_squares(kinds: Kinds) -> None:
    squares = places(kinds, "sum of square")
    assert kinds.falling == tuple(place for place in kinds.sums if place not in squares)


def test_bad_or_good_events_are_a_part_of_all_with_a_label_and_those_without_are_no_part_of_it() -> None:
    for kinds, part in ((PROPORTION, "bad events"), (GOOD, "good events")):
        assert kinds.names == (part, "all events", "events without a label")
        assert (kinds.parts, kinds.events, kinds.sums, kinds.falling) == (((0, 1),), (1, 2), (), ())
        assert (kinds.labelled, kinds.coarsens) == (True, False)
    assert PROPORTION.pair((3, 10, 99)) == (3, 10)
    assert GOOD.pair((3, 10, 99)) == (7, 10)


@pytest.mark.parametrize("native", [False, True])
def test_each_bucket_of_a_histogram_is_a_part_of_the_next_and_the_last_holds_all(native: bool) -> None:  # noqa: FBT001
    kinds = histogram_of((0.1, 0.25), native=native)

    assert kinds.names == ("events up to 0.1", "events up to 0.25", "all events")
    assert (kinds.parts, kinds.events) == (((0, 1), (1, 2)), (2,))
    assert (kinds.sums, kinds.falling, kinds.labelled, kinds.coarsens) == ((), (), False, native)
    assert histogram_of((0.1,)).coarsens is False, "only where somebody says so"


@pytest.mark.parametrize(
    "kinds", [PROPORTION, MEAN, histogram_of(()), histogram_of((0.1,)), histogram_of((0.1, 0.25, 1))]
)
def test_places_of_parts_and_of_their_wholes_are_told_apart(kinds: Kinds) -> None:
    parts, wholes = kinds.pairs

    assert tuple(zip(parts.tolist(), wholes.tolist(), strict=True)) == kinds.parts
