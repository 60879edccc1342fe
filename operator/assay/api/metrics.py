"""What a check measures, where it is no preset: counters, and how they make a proportion, a mean or a ratio."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from assay.api.base import Flag, Model
from assay.api.rules import KeysMatch, Matches, Rule

MetricName = Annotated[
    str,
    Field(min_length=1, max_length=200),
    Matches("[a-zA-Z_:][a-zA-Z0-9_:]*", "must be the name of a Prometheus metric, such as assay_outcomes_total"),
]
LabelMatches = Annotated[
    dict[str, Annotated[str, Field(max_length=256)]],
    Field(max_length=8),
    KeysMatch("[a-zA-Z_][a-zA-Z0-9_]*", 128, "must have names of Prometheus labels as keys, such as verdict"),
]

OWN_LABELS = ("namespace", "pod", "assay_deployment", "assay_revision", "assay_via")


def _differs(field: str) -> str:
    """Return the CEL for: where the field is given, it selects other series than total."""
    match = "(has({0}.match) ? {0}.match : {{}})"
    one, total = f"self.{field}", "self.total"
    return f"(!has({one}) || {one}.metric != {total}.metric || {match.format(one)} != {match.format(total)})"


class LabelMatch(Model):
    """A counter and the label values that select its series."""

    rules = (
        Rule(
            f"match must leave out {', '.join(OWN_LABELS)}: the operator adds them",
            f"!has(self.match) || {list(OWN_LABELS)}.all(label, !(label in self.match))",
            lambda one: not set(OWN_LABELS) & set(one.match or ()),
        ),
    )

    metric: MetricName
    """Name of a cumulative counter."""
    match: LabelMatches | None = None
    """Label values that a series must have. Default none."""


class Histogram(LabelMatch):
    """A histogram and the label values that select its series."""

    native: Flag = False
    """True: a native histogram, laid on bounds 9 % apart. False: a classic one, named without _bucket. Default false."""


class Proportion(Model):
    """Bad events, or good ones, of all events."""

    rules = (
        Rule(
            "must have exactly one of bad and good",
            "has(self.bad) != has(self.good)",
            lambda one: (one.bad is None) != (one.good is None),
        ),
        Rule(
            "bad or good must select other series than total, or every event would be one",
            f"{_differs('bad')} && {_differs('good')}",
            lambda one: (
                (one.total.metric, one.total.match or {})
                not in [(part.metric, part.match or {}) for part in (one.bad, one.good) if part is not None]
            ),
        ),
    )

    bad: LabelMatch | None = None
    """Counter of bad events, such as wrong answers. Exactly one of bad and good."""
    good: LabelMatch | None = None
    """Counter of good events, such as conversions: all others are bad, and tolerance, margin, negligible and limit speak of these. Exactly one of bad and good."""
    total: LabelMatch
    """Counter of all events."""


class Mean(Model):
    """The mean of values, from three cumulative counters that one exporter tells at the same scrape."""

    count: LabelMatch
    """How many values there were: `x_count` of a Prometheus summary or histogram."""
    sum: LabelMatch
    """Sum of the values: `x_sum`. It may fall, where values may be negative."""
    sum_of_squares: LabelMatch
    """Sum of the squares of the values, from which their variance is known. No client library counts it by itself."""


class Ratio(Model):
    """A ratio of two means over units, such as sales per visit over users, from six counters that one exporter tells at the same scrape.

    The unit is what is independent: a user or a session, not a visit.
    """

    count: LabelMatch
    """How many units there were."""
    numerator: LabelMatch
    """Sum over the units of the numerator."""
    denominator: LabelMatch
    """Sum over the units of the denominator."""
    numerator_squares: LabelMatch
    """Sum over the units of the squared numerator."""
    denominator_squares: LabelMatch
    """Sum over the units of the squared denominator."""
    products: LabelMatch
    """Sum over the units of numerator times denominator."""


class Better(StrEnum):
    """Which way is better."""

    LOWER = "Lower"
    HIGHER = "Higher"
