"""Which series of own counters and histograms belong together, and at which scrapes do they tell enough?"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from assay.api.checks import Check
from assay.core import measures
from assay.core.decision import Missing, Query, Series
from assay.core.kinds import GAUGE, GOOD, MEAN, RATIO, Kinds, histogram_of
from assay.core.names import OUTCOMES_METRIC
from assay.core.scrapes import Events

PARTS = {
    "mean": ("count", "sum", "sumOfSquares"),
    "ratio": ("count", "numerator", "denominator", "numeratorSquares", "denominatorSquares", "products"),
}


def a_check(kind: str, match: Mapping[str, dict[str, str]] = MappingProxyType({})) -> Check:
    """A check of values whose counters are called after their parts."""
    named = {part: {"metric": part, "match": match.get(part, {})} for part in PARTS[kind]}
    return Check.model_validate({"name": "own", kind: named, "better": "Lower"})


def a_series(*samples: tuple[float, float], **labels: str) -> Series:
    return Series({"pod": "p", "assay_revision": "bbbbbbbb", **labels}, samples)


def events(check: Check, *answers: tuple[Series, ...]) -> Events | Missing:
    return measures.events(check, dict(zip(measures.queries([check]), answers, strict=True)))


@pytest.mark.parametrize(("kind", "kinds"), [("mean", MEAN), ("ratio", RATIO)])
def test_counters_stand_in_the_order_of_their_kinds(kind: str, kinds: Kinds) -> None:
    check = a_check(kind)
    told = [(a_series((10.0, float(place))),) for place, _ in enumerate(PARTS[kind])]

    assert [query.metric for query in measures.queries([check])] == list(PARTS[kind])
    assert events(check, *told) == Events(tuple(told), kinds)


def test_counters_of_one_pod_count_at_the_scrapes_that_told_all_of_them() -> None:
    check = a_check("mean")
    count, total, squares = (
        a_series((1.0, 5.0), (2.0, 6.0), (3.0, 7.0)),
        a_series((2.0, 3.5), (3.0, 4.5)),
        a_series((1.0, 1.0), (3.0, 9.0)),
    )
    other = a_series((1.0, 2.0), pod="q")

    found = events(check, (count, other), (other, total), (squares, other))

    assert not isinstance(found, Missing)
    samples = [[(one.labels["pod"], one.samples) for one in kind] for kind in found.series]
    assert samples == [[("p", ((3.0, value),)), ("q", ((1.0, 2.0),))] for value in (7.0, 4.5, 9.0)], (
        "in the same place of each kind"
    )


def test_labels_by_which_a_counter_is_chosen_do_not_part_it_from_the_others_and_all_other_labels_do() -> None:
    check = a_check("mean", {"sum": {"of": "sales"}, "sumOfSquares": {"of": "squares"}})
    count, total, squares = a_series((1.0, 5.0)), a_series((1.0, 3.0), of="sales"), a_series((1.0, 2.0), of="squares")
    elsewhere = a_series((1.0, 2.0), of="squares", zone="b")

    assert not isinstance(events(check, (count,), (total,), (squares,)), Missing)
    told = "pod p does not export its sum of squares with the labels of its other counters"
    assert events(check, (count,), (total,), (elsewhere,)) == Missing(told)
    named = (a_series((1.0, 5.0), __name__="count"),), (a_series((1.0, 5.0), __name__="sum"),)
    assert not isinstance(events(a_check("mean"), *named, (a_series((1.0, 5.0), __name__="squares"),)), Missing)


def test_a_counter_that_a_pod_tells_twice_is_told() -> None:
    one = a_series((1.0, 5.0))

    assert events(a_check("mean"), (one,), (one, one), (one,)) == Missing(
        "pod p tells its sum of values twice with the same labels"
    )


def test_a_gauge_has_no_counter_beside_it() -> None:
    check = Check.model_validate({"name": "own", "gauge": {"metric": "auc"}, "better": "Higher"})
    told = (a_series((1.0, 0.8)),)

    assert events(check, told) == Events(((), told), GAUGE)


def test_of_good_events_all_others_are_bad_and_of_bad_ones_they_are_themselves() -> None:
    first, second = (a_series((1.0, 2.0)),), (a_series((1.0, 5.0)),)

    for named, expected in (("good", Events((first, second, ()), GOOD)), ("bad", Events.proportion(first, second))):
        parts = {named: {"metric": "some"}, "total": {"metric": "all"}}
        check = Check.model_validate({"name": "own", "proportion": parts})
        assert events(check, first, second) == expected


def classed(outcome: str, of: str, *samples: tuple[float, float]) -> Series:
    return Series({"pod": "p", "assay_revision": "bbbbbbbb", "outcome": outcome, "class": of}, samples)


def test_of_each_class_so_many_labels_are_kept_that_all_come_alike() -> None:
    """Of 0.9 and 0.3 that come, a third and all are kept, in whole numbers; of what has no label nothing is left out."""
    raw = {
        "name": "own",
        "preset": "accuracy",
        "labelDelaySeconds": 60,
        "classCoverage": {"fraud": "0.3", "fine": "0.9"},
    }
    check = Check.model_validate(raw)
    without = classed("unlabelled", "", (1.0, 7.0))
    wrong = classed("wrong", "fraud", (1.0, 5.0)), classed("wrong", "fine", (1.0, 8.0), (2.0, 10.0))

    found = measures.events(check, {Query(OUTCOMES_METRIC, (("age_seconds", "60"),)): (*wrong, without)})

    kept = classed("wrong", "fraud", (1.0, 5.0)), classed("wrong", "fine", (1.0, 3.0), (2.0, 3.0))
    assert found == Events.proportion(kept, kept, (without,))


def buckets(*bounds: str) -> list[Series]:
    return [a_series((1.0, 2.0), le=bound) for bound in bounds]


def test_a_histogram_has_its_bounds_in_their_order_and_in_its_unit() -> None:
    series = buckets("2000", "+Inf", "500")
    found = measures.histogram(series, 1000.0)

    ordered = (series[2],), (series[0],), (series[1],)
    assert found == Events(ordered, histogram_of((0.5, 2.0)), (0.5, 2.0))


def test_a_histogram_may_have_so_many_buckets_as_status_holds() -> None:
    most = [str(bound) for bound in range(1, 200)]

    assert not isinstance(measures.histogram(buckets(*most, "+Inf")), Missing)
    assert measures.histogram(buckets(*most, "200", "+Inf")) == Missing(
        "it has 200 buckets, of which status holds 199 at most"
    )


@pytest.mark.parametrize(
    ("bounds", "told"),
    [(("1", "2"), "1, 2"), (("+Inf",), "+Inf"), (("0", "1", "+Inf"), "0, 1, +Inf"), (("1", "x", "2"), "1, x, 2")],
)
def test_a_histogram_without_a_last_bucket_or_one_above_zero_says_nothing(bounds: tuple[str, ...], told: str) -> None:
    found = measures.histogram(buckets(*bounds))
    assert isinstance(found, Missing)
    assert found.reason.startswith("its buckets must be le=+Inf and at least one above 0, and they are ")
    assert set(found.reason.partition("they are ")[2].split(", ")) == set(told.split(", "))


def test_of_no_series_no_histogram_is_missing() -> None:
    assert measures.histogram([]) == Events(((),), histogram_of(()), ())


def test_one_bound_above_zero_will_do() -> None:
    found = measures.histogram(buckets("0.5", "+Inf"))
    assert not isinstance(found, Missing)
    assert found.bounds == (0.5,)


def test_a_bucket_whose_bound_is_no_number_is_one_too_many() -> None:
    assert measures.histogram(buckets("1", "x", "+Inf")) == Missing("pod p has 3 buckets, others have 2")


def test_of_a_latency_s_quantile_all_buckets_of_the_router_are_asked_for_which_counts_milliseconds() -> None:
    check = Check.model_validate({"name": "slow", "preset": "latency", "quantile": "0.95"})
    (query,) = measures.queries([check])
    found = measures.events(check, {query: tuple(buckets("100", "250", "+Inf"))})

    assert query == Query("envoy_cluster_upstream_rq_time_bucket", (("assay_via", "split"),))
    assert not isinstance(found, Missing)
    assert (found.bounds, found.kinds.coarsens) == ((0.1, 0.25), False)


def test_a_pod_with_other_buckets_than_all_others_is_told() -> None:
    other = [a_series((1.0, 2.0), pod="q", le=bound) for bound in ("1", "+Inf")]
    assert measures.histogram([*buckets("1", "2", "+Inf"), *other]) == Missing("pod q has 2 buckets, others have 3")


@pytest.mark.parametrize("native", [False, True])
def test_only_a_native_histogram_s_buckets_may_be_joined(native: bool) -> None:  # noqa: FBT001
    own = {"metric": "seconds", "native": native}
    check = Check.model_validate({"name": "own", "histogram": own, "quantile": "0.9"})
    (query,) = measures.queries([check])
    whole = replace(a_series((1.0, 2.0)), bounds=(0.5,), upto=np.array([[1.0]]))
    found = measures.events(check, {query: (whole,) if native else tuple(buckets("0.5", "+Inf"))})

    assert query.metric == ("seconds" if native else "seconds_bucket")
    assert not isinstance(found, Missing)
    assert (found.kinds.coarsens, found.bounds) == (native, (0.5,))


def test_series_without_buckets_of_their_own_or_with_others_than_the_rest_are_no_native_histogram() -> None:
    plain = a_series((1.0, 2.0))
    whole, other = (replace(plain, bounds=bounds, upto=np.array([[1.0]])) for bounds in ((0.5,), (0.25,)))

    for told in ((plain,), (whole, plain), (whole, other)):
        assert measures.native_histogram(told) == Missing(
            "it is no native histogram: see whether Prometheus scrapes it as one, or leave out `native`"
        )
    assert not isinstance(measures.native_histogram((whole, whole)), Missing)
