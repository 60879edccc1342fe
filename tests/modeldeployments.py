"""ModelDeployments as users write them: one that is right, and many that are wrong in one way."""

import copy
from dataclasses import dataclass
from typing import Any, TypeAlias

Manifest: TypeAlias = dict[str, Any]

TEMPLATE: Manifest = {"spec": {"containers": [{"name": "model", "image": "flights:1"}]}}


def written(name: str = "flights", **spec: Any) -> Manifest:
    """Return a manifest that is right, with parts of its spec replaced."""
    return {
        "apiVersion": "assay.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": {"name": "flights", "version": "1"},
            "template": copy.deepcopy(TEMPLATE),
            "strategy": {"canary": {"steps": [{"weight": 5}]}},
            "analysis": {"checks": [{"name": "errors", "preset": "error-ratio"}]},
            **spec,
        },
    }


def with_steps(*steps: Any) -> Manifest:
    return written(strategy={"canary": {"steps": list(steps)}})


def with_checks(*checks: Any, **analysis: Any) -> Manifest:
    return written(analysis={"checks": list(checks), **analysis})


def with_check(**check: Any) -> Manifest:
    return with_checks({"name": "errors", "preset": "error-ratio", **check})


def with_proportion(bad: Any, total: Any) -> Manifest:
    return with_checks({"name": "accuracy", "proportion": {"bad": bad, "total": total}})


@dataclass(frozen=True)
class Wrong:
    """A manifest that breaks one rule."""

    manifest: Manifest
    field: str
    """Where the API server and the operator say it is wrong."""
    sentence: str
    """What both say."""


ACCURACY = {"name": "accuracy", "preset": "accuracy", "labelDelaySeconds": 60}
OUTCOMES = {"metric": "assay_outcomes_total"}
A_MEAN = {
    "name": "revenue",
    "mean": {"count": {"metric": "n"}, "sum": {"metric": "s"}, "sumOfSquares": {"metric": "q"}},
}
ONE_DECIMAL = 'must be a decimal in quotes between 0 and 1, neither included, such as "0.05"'

WRONG = {
    "no provider": Wrong(written(traffic={"stickyHeader": "x-user-id"}), "spec.traffic", "exactly one provider"),
    "header in upper case": Wrong(
        written(traffic={"router": {}, "stickyHeader": "X-User"}), "spec.traffic.stickyHeader", "in lower case"
    ),
    "no strategy": Wrong(written(strategy={}), "spec.strategy", "exactly one strategy"),
    "weight and pause": Wrong(
        with_steps({"weight": 5}, {"weight": 5, "pause": {"seconds": 1}}),
        "spec.strategy.canary.steps[1]",
        "exactly one of weight and pause",
    ),
    "neither weight nor pause": Wrong(
        with_steps({"weight": 5}, {}), "spec.strategy.canary.steps[1]", "exactly one of weight and pause"
    ),
    "pause with requests": Wrong(
        with_steps({"weight": 5}, {"pause": {"seconds": 1}, "minRequests": 5}),
        "spec.strategy.canary.steps[1]",
        "minSeconds and minRequests belong to a step with a weight",
    ),
    "falling weights": Wrong(
        with_steps({"weight": 50}, {"pause": {"seconds": 1}}, {"weight": 5}),
        "spec.strategy.canary",
        "weights of the steps must never fall",
    ),
    "no weight at all": Wrong(with_steps({"pause": {"seconds": 1}}), "spec.strategy.canary", "at least one"),
    "preset and proportion": Wrong(
        with_check(proportion={"bad": {"metric": "a"}, "total": {"metric": "b"}}),
        "spec.analysis.checks[0]",
        "exactly one of preset, proportion",
    ),
    "neither preset nor proportion": Wrong(
        with_checks({"name": "errors"}), "spec.analysis.checks[0]", "exactly one of preset, proportion"
    ),
    "limit and margin": Wrong(
        with_check(limit="0.05", margin={"relative": "0.5"}), "spec.analysis.checks[0]", "leave tolerance, margin"
    ),
    "limit and negligible": Wrong(
        with_check(limit="0.05", negligible="0.001"), "spec.analysis.checks[0]", "leave tolerance, margin"
    ),
    "both units": Wrong(
        with_check(tolerance={"relative": "0.1", "absolute": "0.1"}),
        "spec.analysis.checks[0].tolerance",
        "exactly one of relative and absolute",
    ),
    "no unit": Wrong(with_check(margin={}), "spec.analysis.checks[0].margin", "exactly one of relative and absolute"),
    "margin within the tolerance": Wrong(
        with_check(tolerance={"relative": "0.50"}, margin={"relative": "0.5"}),
        "spec.analysis.checks[0]",
        "margin.relative (default 0.50) must be greater than tolerance.relative (default 0.10)",
    ),
    "default margin within the tolerance": Wrong(
        with_check(tolerance={"relative": "0.50"}), "spec.analysis.checks[0]", "margin.relative (default 0.50)"
    ),
    "margin within the default tolerance": Wrong(
        with_check(margin={"relative": "0.1"}), "spec.analysis.checks[0]", "tolerance.relative (default 0.10)"
    ),
    "absolute margin within the tolerance": Wrong(
        with_check(tolerance={"absolute": "0.01"}, margin={"absolute": "0.01"}),
        "spec.analysis.checks[0]",
        "margin.absolute must be greater than tolerance.absolute",
    ),
    "absolute margin of nothing": Wrong(
        with_check(margin={"absolute": "0"}), "spec.analysis.checks[0]", "margin.absolute must be greater"
    ),
    "threshold that is no number": Wrong(
        with_check(tolerance={"relative": "10%"}), "spec.analysis.checks[0].tolerance.relative", 'such as "0.10"'
    ),
    "certain rollback": Wrong(
        with_checks({"name": "errors", "preset": "error-ratio"}, falseRollback="1.0"),
        "spec.analysis.falseRollback",
        ONE_DECIMAL,
    ),
    "impossible promotion": Wrong(
        with_checks({"name": "errors", "preset": "error-ratio"}, falsePromotion="0.0"),
        "spec.analysis.falsePromotion",
        ONE_DECIMAL,
    ),
    "limit of nothing": Wrong(with_check(limit="0"), "spec.analysis.checks[0].limit", ONE_DECIMAL),
    "nothing required": Wrong(with_check(required=False), "spec.analysis", "at least one that is required"),
    "deadline before the warm-up": Wrong(
        with_checks({"name": "errors", "preset": "error-ratio"}, warmupSeconds=60, deadlineSeconds=60),
        "spec.analysis",
        "deadlineSeconds must be greater than warmupSeconds",
    ),
    "a dispersion below one": Wrong(
        with_checks({"name": "errors", "preset": "error-ratio"}, dispersion="0.9"),
        "spec.analysis",
        "dispersion must be from 1 to 1000",
    ),
    "deadline before the labels": Wrong(
        with_checks(ACCURACY, {**ACCURACY, "name": "b", "labelDelaySeconds": 541}, deadlineSeconds=600),
        "spec.analysis",
        "plus the longest labelDelaySeconds",
    ),
    "accuracy without an age": Wrong(
        with_check(preset="accuracy"), "spec.analysis.checks[0]", "labelDelaySeconds must be given"
    ),
    "age of errors": Wrong(
        with_check(labelDelaySeconds=60), "spec.analysis.checks[0]", "labelDelaySeconds and minCoverage belong to"
    ),
    "coverage of errors": Wrong(
        with_check(minCoverage="0.9"), "spec.analysis.checks[0]", "labelDelaySeconds and minCoverage belong to"
    ),
    "coverage of nothing": Wrong(
        with_checks({**ACCURACY, "minCoverage": "0"}), "spec.analysis.checks[0].minCoverage", ONE_DECIMAL
    ),
    "coverage by class of errors": Wrong(
        with_check(classCoverage={"fraud": "0.5", "fine": "0.9"}),
        "spec.analysis.checks[0]",
        "classCoverage belongs to preset accuracy",
    ),
    "coverage by class and of all": Wrong(
        with_checks({**ACCURACY, "classCoverage": {"fraud": "0.5", "fine": "0.9"}, "minCoverage": "0.5"}),
        "spec.analysis.checks[0]",
        "classCoverage belongs to preset accuracy, and stands in place of minCoverage",
    ),
    "hardly a label of one class": Wrong(
        with_checks({**ACCURACY, "classCoverage": {"fraud": "0.05", "fine": "0.9"}}),
        "spec.analysis.checks[0]",
        "classCoverage must be 0.1 or more of every class",
    ),
    "name of a class": Wrong(
        with_checks({**ACCURACY, "classCoverage": {"no fraud": "0.5", "fine": "0.9"}}),
        "spec.analysis.checks[0].classCoverage",
        "must have names of classes as keys",
    ),
    "latency without a bound": Wrong(
        with_check(preset="latency"), "spec.analysis.checks[0]", "preset latency must have exactly one of quantile"
    ),
    "bound of errors": Wrong(
        with_check(slowerThanSeconds="0.1"),
        "spec.analysis.checks[0]",
        "preset latency must have exactly one of quantile",
    ),
    "bound of nothing": Wrong(
        with_check(preset="latency", slowerThanSeconds="0"), "spec.analysis.checks[0]", "must be from 0.001 to 3600"
    ),
    "quantile and bound": Wrong(
        with_check(preset="latency", slowerThanSeconds="0.1", quantile="0.95"),
        "spec.analysis.checks[0]",
        "preset latency must have exactly one of quantile",
    ),
    "histogram without a quantile": Wrong(
        with_checks({"name": "first-token", "histogram": {"metric": "first_token_seconds"}}),
        "spec.analysis.checks[0]",
        "quantile must be given with histogram",
    ),
    "quantile of errors": Wrong(
        with_check(quantile="0.95"), "spec.analysis.checks[0]", "quantile must be given with histogram"
    ),
    "quantile with a rate": Wrong(
        with_check(preset="latency", quantile="0.95", negligible="0.01"),
        "spec.analysis.checks[0]",
        "with quantile, tolerance (of the quantile) and margin (in odds) must be relative",
    ),
    "bad and good": Wrong(
        with_checks({"name": "a", "proportion": {"bad": OUTCOMES, "good": OUTCOMES, "total": {"metric": "b"}}}),
        "spec.analysis.checks[0].proportion",
        "exactly one of bad and good",
    ),
    "better errors": Wrong(with_check(better="Lower"), "spec.analysis.checks[0]", "better belongs to mean"),
    "limit of a mean": Wrong(
        with_checks({**A_MEAN, "limit": "0.5"}), "spec.analysis.checks[0]", "tolerance and margin must be relative, of"
    ),
    "absolute margin of a mean": Wrong(
        with_checks({**A_MEAN, "margin": {"absolute": "0.5"}}),
        "spec.analysis.checks[0]",
        "tolerance and margin must be relative, of",
    ),
    "fall by more than all": Wrong(
        with_checks({**A_MEAN, "better": "Higher", "margin": {"relative": "1"}}),
        "spec.analysis.checks[0]",
        "no mean can fall by more than all of it",
    ),
    "nothing but a gauge": Wrong(
        with_checks(
            {"name": "drift", "gauge": {"metric": "drift"}},
            {"name": "errors", "preset": "error-ratio", "required": False},
        ),
        "spec.analysis",
        "one required check must be no gauge",
    ),
    "spending on a mean": Wrong(with_checks(A_MEAN, rule="Spending"), "spec.analysis", "rule Spending compares"),
    "spending on ramps": Wrong(
        written(
            analysis={"checks": [{"name": "errors", "preset": "error-ratio"}], "rule": "Spending"},
            strategy={"canary": {"steps": [{"weight": 5}, {"weight": 50}]}},
        ),
        "spec",
        "analysis.rule Spending needs weights that do not react to the evidence",
    ),
    "spending on a limit": Wrong(
        with_checks({"name": "errors", "preset": "error-ratio", "limit": "0.05"}, rule="Spending"),
        "spec.analysis",
        "rule Spending compares proportions with stable alone",
    ),
    "name of a check": Wrong(
        with_checks({"name": "Errors!", "preset": "error-ratio"}), "spec.analysis.checks[0].name", "lower-case letters"
    ),
    "metric that is none": Wrong(
        with_proportion({"metric": "sum(a)"}, OUTCOMES),
        "spec.analysis.checks[0].proportion.bad.metric",
        "name of a Prometheus metric",
    ),
    "everything is bad": Wrong(
        with_proportion(OUTCOMES, OUTCOMES),
        "spec.analysis.checks[0].proportion",
        "bad or good must select other series",
    ),
    "another namespace": Wrong(
        with_proportion({**OUTCOMES, "match": {"namespace": "theirs"}}, OUTCOMES),
        "spec.analysis.checks[0].proportion.bad",
        "match must leave out namespace",
    ),
    "label that is none": Wrong(
        with_proportion({**OUTCOMES, "match": {"a-b": "1"}}, OUTCOMES),
        "spec.analysis.checks[0].proportion.bad.match",
        "names of Prometheus labels",
    ),
    **{
        f"wish that is {what}": Wrong(written(intent={field: text}), f"spec.intent.{field}", "8 hex digits in quotes")
        for what, field, text in (
            ("no revision", "abort", "latest"),
            ("in upper case", "promote", "1A2B3C4D"),
            ("the zeroth", "retry", "1a2b3c4d-0"),
        )
    },
    "digest that is none": Wrong(
        written(model={"name": "flights", "version": "1", "digest": "md5:1"}), "spec.model.digest", "64 hex digits"
    ),
    "long name": Wrong(written(name="f" * 53), "metadata.name", "must be at most 52 characters"),
    "name that no Service can have": Wrong(written(name="1flights"), "metadata.name", "must begin with a letter"),
}
"""Each breaks one rule of ours; the sentence is ours."""

REFUSED = {
    "weight of everything": with_steps({"weight": 100}),
    "same name twice": with_checks(*({"name": "errors", "preset": "error-ratio"} for _ in range(2))),
    "no step": with_steps(),
    "no check": with_checks(),
    "wish without quotes": written(intent={"retry": 12345678}),
    "pause in quotes": written(intent={"paused": "true"}),
    "number in quotes": written(replicas="3"),
    "fraction of a pod": written(replicas=1.5),
    "no pod": written(replicas=0),
    "age of nothing": with_checks({**ACCURACY, "labelDelaySeconds": 0}),
    "flag in quotes": with_check(required="true"),
    "decimal without quotes": with_check(limit=0.05),
    "unknown preset": with_check(preset="recall"),
    "enum in lower case": with_checks({"name": "errors", "preset": "error-ratio"}, onNoData="hold"),
    "no container": written(template={"spec": {"containers": []}}),
    "container without a name": written(template={"spec": {"containers": [{"image": "flights:1"}]}}),
    "template without a spec": written(template={"metadata": {"labels": {}}}),
    "template with a list as metadata": written(template=TEMPLATE | {"metadata": []}),
    "template that is none": written(template="flights:1"),
    "labels in a list": written(template=TEMPLATE | {"metadata": {"labels": ["a"]}}),
    "annotation that is a number": written(template=TEMPLATE | {"metadata": {"annotations": {"a": 5}}}),
    **{
        f"env that is {what}": written(template={"spec": {"containers": [{"name": "model", "env": env}]}})
        for what, env in (
            ("text", "A=1"),
            ("a map", {"A": "1"}),
            ("a list of text", ["A=1"]),
            ("a list of nothing", [None]),
        )
    },
    "env with a name that is a map": written(
        template={"spec": {"containers": [{"name": "model", "env": [{"name": {"a": "b"}}]}]}}
    ),
    "model without a version": written(model={"name": "flights"}),
}
"""Each is refused by the type, the bounds or the presence of a field; the API server has its own sentence for these."""
