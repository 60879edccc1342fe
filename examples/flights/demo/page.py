"""The demo as one self-contained page: what was decided, with pictures of weight and evidence over time."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flights.demo.timeline import Act, Evidence

HARM, SAFETY, WEIGHT, GREY = "#c0392b", "#1e8449", "#2471a3", "#7f8c8d"
STYLE: dict[Any, Any] = {"font.family": "sans-serif", "font.size": 9, "svg.fonttype": "path", "axes.spines.top": False,
         "axes.spines.right": False, "axes.edgecolor": GREY, "svg.hashsalt": "assay"}  # fmt: skip
FLOOR = 0.01  # evidence below this is drawn here: it is as good as none


def render(acts: Sequence[Act]) -> str:
    """Return the page."""
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined
    )
    shown = [{"act": act, "picture": picture(act)} for act in acts]
    return environment.get_template("page.html.j2").render(acts=shown)


def picture(act: Act) -> str:
    """Return an SVG of an act: weight above, evidence of each check below, on one axis of time."""
    names = [check.name for check in act.samples[-1].checks] if act.samples else []
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 1.8 + 2.1 * len(names)), layout="constrained")
        rows = figure.subplots(1 + len(names), 1, sharex=True, squeeze=False)[:, 0]
        _draw_weight(rows[0], act)
        for axes, name in zip(rows[1:], names, strict=True):
            _draw_evidence(axes, act, name)
        rows[-1].set_xlabel("seconds since kubectl apply")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _draw_weight(axes: Axes, act: Act) -> None:
    times = [sample.seconds for sample in act.samples]
    weights = [sample.weight for sample in act.samples]
    axes.step(times, weights, where="post", color=WEIGHT, linewidth=1.8)
    axes.fill_between(times, weights, step="post", color=WEIGHT, alpha=0.15)
    axes.set_ylim(0, 105)
    axes.set_ylabel("% of traffic")
    _mark_decision(axes, act)


def _mark_decision(axes: Axes, act: Act) -> None:
    if act.outcome:
        axes.axvline(act.seconds, color=GREY, linestyle=":", linewidth=1)
        axes.annotate(f" {act.outcome}", (act.seconds, 1), xycoords=("data", "axes fraction"), va="top", color=GREY)


def _draw_evidence(axes: Axes, act: Act, name: str) -> None:
    seen = [(sample.seconds, check) for sample in act.samples for check in sample.checks if check.name == name]
    times = [seconds for seconds, _ in seen]
    limits = seen[-1][1]
    kinds: list[tuple[str, str, float, Callable[[Evidence], float]]] = [
        ("harm", HARM, limits.harm_limit, lambda check: check.harm),
        ("safety", SAFETY, limits.safety_limit, lambda check: check.safety),
    ]
    for label, colour, limit, value in kinds:
        values = [max(value(check), FLOOR) for _, check in seen]
        axes.step(times, values, where="post", color=colour, linewidth=1.8, label=label)
        axes.axhline(limit, color=colour, linestyle="--", linewidth=0.8)
        verb = "rolls back" if label == "harm" else "may promote"
        axes.annotate(f"{limit:.0f} {verb}", (times[0], limit), color=colour, va="bottom", fontsize=8)
    axes.set_yscale("log")
    axes.set_ylim(FLOOR / 2, 8 * max(limits.harm_limit, limits.safety_limit))
    axes.set_ylabel(f"evidence: {name}")
    axes.legend(loc="lower left", frameon=False, ncols=2)
    _mark_decision(axes, act)
