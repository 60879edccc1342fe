"""Check: one metric with the rule that judges it, shared by all kinds that judge."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from assay.api.base import DECIMAL, Decimal, Flag, Fraction, Integer, Model, Name, Probability
from assay.api.metrics import Better, Histogram, LabelMatch, Mean, Proportion, Ratio
from assay.api.rules import KeysMatch, NamedList, Rule

ClassCoverage = Annotated[
    dict[str, Probability],
    Field(max_length=16),
    KeysMatch("[a-zA-Z0-9_.-]+", 63, "must have names of classes as keys, such as fraud"),
]

DEFAULT_TOLERANCE = "0.10"  # relative
DEFAULT_MARGIN = "0.50"  # relative
DEFAULT_COVERAGE = "0.8"
QUICKEST, SLOWEST = 0.001, 3600.0  # seconds
LEAST_COVERAGE = 0.1  # of a class


class Threshold(Model):
    """How much worse: exactly one of relative or absolute."""

    rules = (
        Rule(
            "must have exactly one of relative and absolute",
            "has(self.relative) != has(self.absolute)",
            lambda one: (one.relative is None) != (one.absolute is None),
        ),
    )

    relative: Decimal | None = None
    """Odds ratio of the bad outcome minus one: 0.10 is ten percent worse. With mean, ratio or gauge a fraction of the stable revision's."""
    absolute: Fraction | None = None
    """Difference of rates: 0.005 is half a percentage point worse; compared as odds at the stable revision's rate so far."""


class CheckPreset(StrEnum):
    """Ready-made checks."""

    ERROR_RATIO = "error-ratio"
    ACCURACY = "accuracy"
    LATENCY = "latency"


KINDS = ("preset", "proportion", "histogram", "mean", "ratio", "gauge")
_ONE_OF = f"{', '.join(KINDS[:-1])} and {KINDS[-1]}"
_VALUES = "(has(self.mean) || has(self.ratio) || has(self.gauge))"
_LATENCY = f"(has(self.preset) && self.preset == '{CheckPreset.LATENCY}')"
_ACCURACY = f"(has(self.preset) && self.preset == '{CheckPreset.ACCURACY}')"


def _unlike(field: str, unit: str) -> str:
    """Return the CEL for: the threshold is set, but not as a decimal of this unit (of which another rule speaks)."""
    value = f"self.{field}.{unit}"
    return f"(has(self.{field}) && !(has({value}) && {value}.matches('^{DECIMAL}$')))"


def _number(field: str, unit: str, otherwise: str) -> str:
    """Return the CEL for a threshold's number."""
    return f"double(has(self.{field}) ? self.{field}.{unit} : '{otherwise}')"


def _relative_margin_is_wider(one: "Check") -> bool:
    """Where neither is absolute, the margin lies beyond the tolerance, defaults included."""
    tolerance = one.tolerance or Threshold(relative=DEFAULT_TOLERANCE)
    margin = one.margin or Threshold(relative=DEFAULT_MARGIN)
    if tolerance.relative is None or margin.relative is None:
        return True
    return float(margin.relative) > float(tolerance.relative)


def _absolute_margin_is_wider(one: "Check") -> bool:
    """Where the margin is absolute, it lies beyond an absolute tolerance, and beyond zero in any case."""
    if one.margin is None or one.margin.absolute is None:
        return True
    tolerance = one.tolerance and one.tolerance.absolute
    return float(one.margin.absolute) > float(tolerance or "0")


class Check(Model):
    """One metric with the rule that judges it."""

    rules = (
        Rule(
            f"must have exactly one of {_ONE_OF}",
            f"[{', '.join(f'has(self.{kind})' for kind in KINDS)}].filter(one, one).size() == 1",
            lambda one: sum(getattr(one, kind) is not None for kind in KINDS) == 1,
        ),
        Rule(
            "limit is an absolute rule of its own: leave tolerance, margin and negligible out beside it",
            "!has(self.limit) || !(has(self.tolerance) || has(self.margin) || has(self.negligible))",
            lambda one: one.limit is None or not (one.tolerance or one.margin or one.negligible),
        ),
        Rule(
            f"margin.relative (default {DEFAULT_MARGIN}) must be greater than tolerance.relative (default {DEFAULT_TOLERANCE})",
            f"{_unlike('margin', 'relative')} || {_unlike('tolerance', 'relative')} ||"
            f" {_number('margin', 'relative', DEFAULT_MARGIN)} > {_number('tolerance', 'relative', DEFAULT_TOLERANCE)}",
            _relative_margin_is_wider,
        ),
        Rule(
            "margin.absolute must be greater than tolerance.absolute and than 0",
            f"!has(self.margin) || {_unlike('margin', 'absolute')} || double(self.margin.absolute) > "
            f"({_unlike('tolerance', 'absolute')} ? 0.0 : {_number('tolerance', 'absolute', '0')})",
            _absolute_margin_is_wider,
        ),
        Rule(
            "labelDelaySeconds must be given with preset accuracy: how old a prediction is when its label is looked at",
            f"!{_ACCURACY} || has(self.labelDelaySeconds)",
            lambda one: one.preset is not CheckPreset.ACCURACY or one.label_delay_seconds is not None,
        ),
        Rule(
            "labelDelaySeconds and minCoverage belong to preset accuracy: leave them out of any other check",
            f"{_ACCURACY} || !(has(self.labelDelaySeconds) || has(self.minCoverage))",
            lambda one: one.preset is CheckPreset.ACCURACY or not (one.label_delay_seconds or one.min_coverage),
        ),
        Rule(
            "classCoverage belongs to preset accuracy, and stands in place of minCoverage",
            f"!has(self.classCoverage) || ({_ACCURACY} && !has(self.minCoverage))",
            lambda one: one.class_coverage is None or (one.preset is CheckPreset.ACCURACY and one.min_coverage is None),
        ),
        Rule(
            "classCoverage must be 0.1 or more of every class: to correct for less, nearly all labels would be thrown away",
            "!has(self.classCoverage) || self.classCoverage.all(one,"
            f" !self.classCoverage[one].matches('^{DECIMAL}$') || double(self.classCoverage[one]) >= 0.1)",
            lambda one: min(map(float, (one.class_coverage or {}).values()), default=1.0) >= LEAST_COVERAGE,
        ),
        Rule(
            "preset latency must have exactly one of quantile (such as 0.95) and slowerThanSeconds; slowerThanSeconds belongs to no other check",
            f"{_LATENCY} ? has(self.quantile) != has(self.slowerThanSeconds) : !has(self.slowerThanSeconds)",
            lambda one: (
                (one.quantile is None) != (one.slower_than_seconds is None)
                if one.preset is CheckPreset.LATENCY
                else one.slower_than_seconds is None
            ),
        ),
        Rule(
            "quantile must be given with histogram, and belongs to histogram and preset latency alone",
            f"{_LATENCY} || has(self.histogram) == has(self.quantile)",
            lambda one: one.preset is CheckPreset.LATENCY or (one.histogram is None) == (one.quantile is None),
        ),
        Rule(
            "with quantile, tolerance (of the quantile) and margin (in odds) must be relative; leave negligible and limit out",
            "!has(self.quantile) || !(has(self.negligible) || has(self.limit) ||"
            " (has(self.tolerance) && has(self.tolerance.absolute)) || (has(self.margin) && has(self.margin.absolute)))",
            lambda one: (
                one.quantile is None
                or not (
                    one.negligible
                    or one.limit
                    or (one.tolerance is not None and one.tolerance.absolute)
                    or (one.margin is not None and one.margin.absolute)
                )
            ),
        ),
        Rule(
            "better belongs to mean, ratio and gauge: of other checks lower is always better (conversions: proportion.good)",
            f"{_VALUES} || !has(self.better)",
            lambda one: one.of_values or one.better is None,
        ),
        Rule(
            "with mean, ratio or gauge, tolerance and margin must be relative, of the stable revision's mean; leave negligible and limit out",
            f"!{_VALUES} || !(has(self.negligible) || has(self.limit) ||"
            " (has(self.tolerance) && has(self.tolerance.absolute)) || (has(self.margin) && has(self.margin.absolute)))",
            lambda one: not one.of_values or not (one.negligible or one.limit or one.is_absolute),
        ),
        Rule(
            "with better Higher, tolerance.relative and margin.relative must be below 1: no mean can fall by more than all of it",
            f"!(has(self.better) && self.better == '{Better.HIGHER}') ||"
            f" (({_unlike('margin', 'relative')} || {_number('margin', 'relative', DEFAULT_MARGIN)} < 1.0) &&"
            f" ({_unlike('tolerance', 'relative')} || {_number('tolerance', 'relative', DEFAULT_TOLERANCE)} < 1.0))",
            lambda one: (
                one.better is not Better.HIGHER
                or all(float(given.relative or 0) < 1 for given in (one.tolerance, one.margin) if given is not None)
            ),
        ),
        Rule(
            "slowerThanSeconds must be from 0.001 to 3600",
            f"!has(self.slowerThanSeconds) || !self.slowerThanSeconds.matches('^{DECIMAL}$') ||"
            " (double(self.slowerThanSeconds) >= 0.001 && double(self.slowerThanSeconds) <= 3600.0)",
            lambda one: one.slower_than_seconds is None or QUICKEST <= float(one.slower_than_seconds) <= SLOWEST,
        ),
    )

    name: Name
    """Name of the check, unique in the resource."""
    preset: CheckPreset | None = None
    """A ready-made metric: error-ratio is the share of answers 5xx; accuracy judges the share of labelled predictions that were wrong; latency how long the model took, as the router measures it. Exactly one of preset, proportion, histogram, mean, ratio and gauge."""
    proportion: Proportion | None = None
    """Bad events of all events, or good ones, by counters of your own. Exactly one of preset, proportion, histogram, mean, ratio and gauge."""
    histogram: Histogram | None = None
    """A histogram of your own, of values above 0 of which less is better, such as the seconds to the first token. Exactly one of preset, proportion, histogram, mean, ratio and gauge."""
    mean: Mean | None = None
    """The mean of values, such as the revenue of a request, judged by an asymptotic test. Exactly one of preset, proportion, histogram, mean, ratio and gauge."""
    ratio: Ratio | None = None
    """A ratio of means over units, such as sales per visit over users, judged by an asymptotic test. Exactly one of preset, proportion, histogram, mean, ratio and gauge."""
    gauge: LabelMatch | None = None
    """A gauge, such as a drift score, compared look by look; averaged over the pods. Nobody says how far it may err, so it can hold a candidate, but never roll it back, and it is never the only required check. Exactly one of preset, proportion, histogram, mean, ratio and gauge."""
    better: Better | None = None
    """Of a mean, ratio or gauge: Lower or Higher is better. Default Lower."""
    quantile: Probability | None = None
    """Preset latency, or histogram: compares the whole distribution by ranks, and the share beyond the bound that is nearest to this quantile, such as 0.95. In place of slowerThanSeconds."""
    slower_than_seconds: Decimal | None = None
    """Preset latency: what takes the model longer, as the router measures it, is slow. The nearest bound of the router's histogram is taken, and told: they differ by a quarter at most above 0.02 s."""
    label_delay_seconds: Annotated[Integer, Field(ge=1, le=2_592_000)] | None = None
    """Preset accuracy: each prediction counts once, when it is so old; a label that comes later is none. The model server must count at this age."""
    min_coverage: Probability | None = None
    """Preset accuracy: below this share of labelled predictions, in either revision, nothing is judged. Default 0.8."""
    class_coverage: ClassCoverage | None = None
    """Preset accuracy: the known share of labels that come within labelDelaySeconds, by the class of the label, where one class's come later than another's. Counts of each class are thinned to the least of them, so that none weighs more because its labels are quick. The model server must count by class."""
    tolerance: Threshold | None = None
    """Worse than stable by more than this is harm and rolls back; with quantile, by this factor and one: 0.10 is ten percent slower. Default relative 0.10. Not together with limit."""
    margin: Threshold | None = None
    """A regression of this size must be excluded before promotion; with quantile, of the odds of being slower than the bound that is nearest to it. Default relative 0.50. Not together with limit."""
    negligible: Probability | None = None
    """An absolute rate below which nothing is held against a candidate; the answer to zero errors. Not together with limit."""
    limit: Probability | None = None
    """An absolute rule in place of the comparison with stable: harm is a rate above it, safety a rate below it."""
    required: Flag = True
    """False: reported, decides nothing. Default true."""

    @property
    def of_values(self) -> bool:
        """Whether it compares means of values, not numbers of events."""
        return self.mean is not None or self.ratio is not None or self.gauge is not None

    @property
    def is_absolute(self) -> bool:
        """Whether tolerance or margin is a difference of rates."""
        return any(given is not None and given.absolute is not None for given in (self.tolerance, self.margin))


Checks = Annotated[list[Check], Field(min_length=1, max_length=16), NamedList("name")]
