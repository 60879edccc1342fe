"""ModelDeployments as users write them: one that is right, many that are wrong in one way, and random ones."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from hypothesis import strategies as st

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
        "exactly one of preset and proportion",
    ),
    "neither preset nor proportion": Wrong(
        with_checks({"name": "errors"}), "spec.analysis.checks[0]", "exactly one of preset and proportion"
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
    "name of a check": Wrong(
        with_checks({"name": "Errors!", "preset": "error-ratio"}), "spec.analysis.checks[0].name", "lower-case letters"
    ),
    "metric that is none": Wrong(
        with_proportion({"metric": "sum(a)"}, OUTCOMES),
        "spec.analysis.checks[0].proportion.bad.metric",
        "name of a Prometheus metric",
    ),
    "everything is bad": Wrong(
        with_proportion(OUTCOMES, OUTCOMES), "spec.analysis.checks[0].proportion", "bad must select other series"
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


def _maybe(draw: st.DrawFn, into: Manifest, name: str, right: Sequence[Any], wrong: Sequence[Any] = ()) -> None:
    """Set a field to one of some values, leave it out, or now and then set it to one that is wrong by itself."""
    chosen = draw(st.integers(0, 9))
    if chosen < 6:
        into[name] = draw(st.sampled_from(right))
    elif chosen == 9 and wrong:
        into[name] = draw(st.sampled_from(wrong))


RELATIVE = ("0.05", "0.10", "0.1", "0.50", "0.500", "2", "0"), ("1000000000", ".5", "1e1", "0.10 ", "٣", "")
ABSOLUTE = ("0", "0.0", "0.001", "0.01", "1", "1.0"), ("1.1", "0.1234567890", "-0.1")
CHANCE = ("0.05", "0.01", "0.000000001"), ("0", "0.0", "1", "1.0", "0.", "0.0000000001", "0.5\n", "O.5")


@st.composite
def thresholds(draw: st.DrawFn) -> Manifest:
    found: Manifest = {}
    unit = draw(st.sampled_from(["relative", "relative", "absolute", "absolute", "both"]))
    if unit != "absolute":
        _maybe(draw, found, "relative", *RELATIVE)
    if unit != "relative":
        _maybe(draw, found, "absolute", *ABSOLUTE)
    return found


@st.composite
def label_matches(draw: st.DrawFn) -> Manifest:
    found: Manifest = {}
    _maybe(draw, found, "metric", ["a_total", "b:total"], ["1a", "a-b", ""])
    keys = st.sampled_from(["verdict", "code", "_x", "l" * 128, "a", "namespace", "a-b", "l" * 129])
    if draw(st.booleans()):
        found["match"] = draw(st.dictionaries(keys, st.sampled_from(["", "5xx", "v" * 257]), max_size=3))
    return found


@st.composite
def checks(draw: st.DrawFn) -> Manifest:
    found: Manifest = {"name": draw(st.sampled_from(["errors", "latency", "a", "b", "c", "d", "a-", "c" * 53]))}
    _maybe(draw, found, "preset", ["error-ratio", "accuracy"], ["errors"])
    if found.get("preset") == "accuracy" or draw(st.integers(0, 9)) == 0:
        _maybe(draw, found, "labelDelaySeconds", [1, 60], [0, "60"])
        _maybe(draw, found, "minCoverage", *CHANCE)
    if "preset" not in found or draw(st.integers(0, 9)) == 0:
        found["proportion"] = {"bad": draw(label_matches()), "total": draw(label_matches())}
    if draw(st.integers(0, 3)) == 0:
        _maybe(draw, found, "limit", *CHANCE)
    if "limit" not in found or draw(st.integers(0, 9)) == 0:
        _maybe(draw, found, "tolerance", [draw(thresholds())])
        _maybe(draw, found, "margin", [draw(thresholds())])
        _maybe(draw, found, "negligible", *CHANCE)
    _maybe(draw, found, "required", [True, True, False], ["true", 1])
    return found


@st.composite
def steps(draw: st.DrawFn) -> Manifest:
    found: Manifest = {}
    _maybe(draw, found, "weight", [1, 5, 25, 50, 99], [0, 100, "5"])
    if "weight" not in found or draw(st.integers(0, 9)) == 0:
        _maybe(draw, found, "pause", [{"seconds": 1}, {"seconds": 60}], [{}, {"seconds": 0}])
    if draw(st.integers(0, 3)) == 0:
        _maybe(draw, found, "minSeconds", [0, 60], [-1])
        _maybe(draw, found, "minRequests", [0, 500], [1_000_000_001])
    return found


@st.composite
def model_deployments(draw: st.DrawFn) -> Manifest:
    """Manifests around the bounds of every rule; a good part of them is right."""
    spec: Manifest = {}
    if draw(st.booleans()):
        spec["analysis"] = {"checks": draw(st.lists(checks(), min_size=1, max_size=2))}
        _maybe(draw, spec["analysis"], "falseRollback", *CHANCE)
        _maybe(draw, spec["analysis"], "warmupSeconds", [0, 60, 5000])
        _maybe(draw, spec["analysis"], "deadlineSeconds", [10, 60, 3600])
        _maybe(draw, spec["analysis"], "gate", ["Pass", "Time"], ["pass"])
    if draw(st.booleans()):
        drawn = draw(st.lists(steps(), min_size=1, max_size=4))
        if draw(st.booleans()):
            drawn.sort(key=lambda step: step["weight"] if isinstance(step.get("weight"), int) else 0)
        spec["strategy"] = {"canary": {"steps": drawn}}
    if draw(st.booleans()):
        router = {} if draw(st.integers(0, 4)) == 0 else {"router": {"replicas": draw(st.sampled_from([1, 20, 21]))}}
        spec["traffic"] = router | draw(st.sampled_from([{}, {"stickyHeader": "x-user"}, {"stickyHeader": "x_user"}]))
    if draw(st.integers(0, 4)) == 0:
        _maybe(draw, spec, "replicas", [1, 1000], [0, 1001, "1", True])
        _maybe(draw, spec, "unknown", [1])
    return written(name=draw(st.sampled_from(["flights"] * 6 + ["f" * 52, "f" * 53, "a.b", "f-1"])), **spec)
