"""Random ModelDeployments around the bounds of every rule; a good part of them is right."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from modeldeployments import Manifest, written


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


COUNTERS = ({"metric": "a_total"}, {"metric": "b", "match": {"le": "1"}}, {"metric": "b"})
PARTS = {
    "mean": ("count", "sum", "sumOfSquares"),
    "ratio": ("count", "numerator", "denominator", "numeratorSquares", "denominatorSquares", "products"),
}


@st.composite
def metrics(draw: st.DrawFn) -> Manifest:
    """What a check may name in place of a preset; mostly right."""
    kind = draw(st.sampled_from(["proportion", "histogram", "mean", "ratio", "gauge"]))
    right = st.sampled_from(COUNTERS)
    counters = st.one_of(right, right, right, label_matches())
    if kind == "proportion":
        chosen = draw(st.sampled_from([["bad"], ["good"], ["bad"], ["good"], ["bad", "good"], []]))
        return {kind: {part: draw(counters) for part in (*chosen, "total")}}
    if kind in PARTS:
        lost = draw(st.integers(0, 9)) == 0
        found: Manifest = {kind: {part: draw(right) for part in PARTS[kind][lost:]}}
    else:
        found = {kind: draw(counters)}
    if kind == "histogram":
        _maybe(draw, found, "quantile", *CHANCE)
    else:
        _maybe(draw, found, "better", ["Lower", "Higher", "Higher"], ["higher"])
    return found


@st.composite
def checks(draw: st.DrawFn) -> Manifest:
    found: Manifest = {"name": draw(st.sampled_from(["errors", "latency", "a", "b", "c", "d", "a-", "c" * 53]))}
    if draw(st.booleans()):
        _maybe(draw, found, "preset", ["error-ratio", "accuracy", "latency"], ["errors"])
    if "preset" not in found or draw(st.integers(0, 9)) == 0:
        found |= draw(metrics())
    if found.get("preset") == "latency" or draw(st.integers(0, 9)) == 0:
        _maybe(draw, found, draw(st.sampled_from(["quantile", "slowerThanSeconds"])), ["0.95", "0.5"], ["1.5", "x"])
    if found.get("preset") == "accuracy" or draw(st.integers(0, 9)) == 0:
        _maybe(draw, found, "labelDelaySeconds", [1, 60], [0, "60"])
        _maybe(draw, found, "minCoverage", *CHANCE)
    if draw(st.integers(0, 9)) == 0:
        shares = st.sampled_from(["0.05", "0.1", "0.95", "1", "x"])
        found["classCoverage"] = draw(st.dictionaries(st.sampled_from(["a", "b", "c d", ""]), shares, max_size=3))
    of_values = bool({"mean", "ratio", "gauge"} & set(found))
    if draw(st.integers(0, 9 if of_values else 3)) == 1:
        _maybe(draw, found, "limit", *CHANCE)
    if "limit" not in found or draw(st.integers(0, 9)) == 0:
        right = [{"relative": "0.05"}, {"relative": "0.2"}, {"relative": "2"}]
        chosen = st.sampled_from(right) if of_values and draw(st.booleans()) else thresholds()
        _maybe(draw, found, "tolerance", [draw(chosen)])
        _maybe(draw, found, "margin", [draw(chosen)])
        if not of_values or draw(st.integers(0, 9)) == 1:
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
    """Whole manifests."""
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
