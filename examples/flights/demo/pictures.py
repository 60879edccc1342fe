"""How did the weight move, and how did the evidence grow? One SVG for each release, made from its samples alone."""

import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flights.demo.timeline import Act, Evidence, Sample

# Okabe and Ito (2008): told apart by everyone.
CANDIDATE, HARM, SAFETY = "#0072b2", "#d55e00", "#009e73"
INK, FAINT = "#334155", "#94a3b8"
STYLE: Final[dict[Any, Any]] = {
    "font.family": "sans-serif", "font.size": 9.5, "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.edgecolor": FAINT, "axes.spines.top": False, "axes.spines.right": False,
    "svg.fonttype": "path", "svg.hashsalt": "assay",
}  # fmt: skip
LEAST: Final = 0.1  # evidence below this is drawn here: it is as good as none
AFTER: Final = 6.0  # seconds that are drawn after the decision
DECIDED: Final = {"Promoted": ("promoted", SAFETY), "RolledBack": ("rolled back", HARM)}


def picture(act: Act) -> str:
    """Return an SVG: the candidate's weight above, the evidence of each check below, on one axis of time."""
    names = [check.name for check in act.samples[-1].checks] if act.samples else []
    samples = _drawn(act)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 2.3 + 2.3 * len(names)), layout="constrained")
        rows = figure.subplots(1 + len(names), 1, sharex=True, squeeze=False)[:, 0]
        _draw_weight(rows[0], act, samples)
        for axes, name in zip(rows[1:], names, strict=True):
            _draw_evidence(axes, samples, name)
        for axes in rows:
            _mark(axes, act)
        rows[-1].set_xlabel("seconds since kubectl apply")
        rows[-1].set_xlim(0, max((one.seconds for one in samples), default=1.0))
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _drawn(act: Act) -> list[Sample]:
    """Return the samples until a little after the decision; what follows is only pods that end."""
    last = act.ending.seconds + AFTER if act.ending else float("inf")
    return [one for one in act.samples if one.seconds <= last]


def _draw_weight(axes: Axes, act: Act, samples: list[Sample]) -> None:
    times, weights = [one.seconds for one in samples], [one.released.weight for one in samples]
    axes.step(times, weights, where="post", color=CANDIDATE, linewidth=1.8)
    axes.fill_between(times, weights, step="post", color=CANDIDATE, alpha=0.12, linewidth=0)
    shares = list(_shares(samples))
    axes.plot([at for at, _ in shares], [share for _, share in shares], "o", markersize=3.2, color=CANDIDATE,
              markerfacecolor="white", label="answers that passengers really got from it, each second")  # fmt: skip
    for before, after in itertools.pairwise(samples):
        if after.released.weight > before.released.weight:
            axes.annotate(f"{after.released.weight} %", (after.seconds, after.released.weight), xytext=(4, 8),
                          textcoords="offset points", color=CANDIDATE, fontweight="bold", fontsize=9)  # fmt: skip
    axes.set(ylim=(0, 124), yticks=(0, 25, 50, 75, 100))
    axes.set_ylabel(f"% of traffic to {act.revision}")
    axes.legend(loc="upper left", frameon=False, fontsize=8.5, handletextpad=0.2, borderaxespad=0.1)


def _shares(samples: list[Sample]) -> Iterator[tuple[float, float]]:
    """Yield the released revision's share, in percent, of the answers between two reports of the passengers."""
    before = samples[0] if samples else None
    for one in samples:
        if before is not None and one.requests > before.requests:
            answered = one.released.answered - before.released.answered
            yield (before.seconds + one.seconds) / 2, 100 * answered / (one.requests - before.requests)
        if before is None or one.requests != before.requests:
            before = one


def _draw_evidence(axes: Axes, samples: list[Sample], name: str) -> None:
    seen = [(one.seconds, check) for one in samples for check in one.checks if check.name == name]
    kinds: list[tuple[str, str, str, Callable[[Evidence], tuple[float, float]]]] = [
        ("of harm", "rolls back", HARM, lambda check: (check.harm, check.harm_limit)),
        ("of safety", "promotes, at the last step", SAFETY, lambda check: (check.safety, check.safety_limit)),
    ]
    top = 1.0
    for label, verb, colour, read in kinds:
        limit = max((read(check)[1] for _, check in seen), default=0.0)
        if not limit:
            continue
        values = [max(read(check)[0], LEAST) if read(check)[1] else float("nan") for _, check in seen]
        axes.step([at for at, _ in seen], values, where="post", color=colour, linewidth=1.8, label=label)
        axes.axhline(limit, color=colour, linestyle=(0, (4, 3)), linewidth=0.9)
        above = limit > top
        axes.annotate(f"{limit:.0f} {verb}", (0, limit), xytext=(4, 3 if above else -3), textcoords="offset points",
                      color=colour, va="bottom" if above else "top", fontsize=8.5)  # fmt: skip
        top = max(top, limit)
    axes.set_yscale("log")
    axes.set_ylim(LEAST / 1.5, 6 * top)
    axes.set_yticks([0.1, 1, 10, 100], ["≤0.1", "1", "10", "100"])
    axes.minorticks_off()
    axes.set_ylabel(f"evidence, check {name}")
    if top > 1:
        axes.legend(loc="lower left", frameon=False, fontsize=8.5, ncols=2, borderaxespad=0.1)


def _mark(axes: Axes, act: Act) -> None:
    """Mark the decision."""
    if act.ending is None:
        return
    word, colour = DECIDED.get(act.ending.outcome, (act.ending.outcome, INK))
    axes.axvline(act.ending.seconds, color=colour, linewidth=1)
    axes.annotate(f"{word} ", (act.ending.seconds, 1), xycoords=("data", "axes fraction"), va="top", ha="right",
                  color=colour, fontweight="bold", fontsize=9)  # fmt: skip
