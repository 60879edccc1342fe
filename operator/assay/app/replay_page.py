"""What does a replay look like, as one page that needs nothing else?"""

import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure

from assay.api.base import Manifest

HARM, SAFETY = "#d55e00", "#009e73"  # Okabe and Ito (2008): told apart by everyone
LEAST = 1e-4  # a smaller share of the evidence is as good as none
STYLE: Final[dict[Any, Any]] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "assay",
}


def render(runs: Iterable[Manifest], most: int) -> str:
    """Return the page as HTML: how all runs ended, and of the first ones the evidence look by look."""
    shown: list[Manifest] = []
    counts: Counter[str] = Counter()
    for run in runs:
        counts[run["decision"]] += 1
        if len(shown) < most:
            shown.append(run)
    places = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    total = counts.total()
    return places.get_template("replay.html.j2").render(
        runs=shown, pictures=[picture(run) for run in shown], counts=dict(counts), total=total, more=total > len(shown)
    )


def picture(run: Manifest) -> str:
    """Return an SVG: for each check the evidence of harm and of safety over time, as shares of what decides."""
    names = [check["name"] for check in run["looks"][-1]["checks"]]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 1 + 1.8 * len(names)), layout="constrained")
        for row, name in zip(figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0], names, strict=True):
            times = [look["time"] for look in run["looks"]]
            checks = [next(one for one in look["checks"] if one["name"] == name) for look in run["looks"]]
            for kind, colour in (("harm", HARM), ("safety", SAFETY)):
                row.plot(times, [max(check[kind], LEAST) for check in checks], ".-", color=colour, label=kind)
            row.axhline(1.0, color="#94a3b8", linewidth=0.8)
            row.set(yscale="log", ylim=(LEAST / 2, 2), ylabel=f"{name}\nshare of what decides")
            row.legend(loc="lower left", frameon=False)
        row.set_xlabel("seconds")
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
