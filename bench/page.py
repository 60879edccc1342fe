"""What does a reader learn from what was measured? `docs/explanation/performance.md`, regenerated from `bench/measured.json`."""

import json
import statistics
from pathlib import Path
from typing import Any

import jinja2

from bench.looks import REQUESTS

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "explanation" / "performance.md"
PICTURE = PAGE.parent / "memory.svg"
KEPT = HERE / "measured.json"
"""What was measured last: `cores`, `figures`, `looks`, `facts`, `windows`, `profile`, `soak`, and a `caution` where it was measured
piecemeal; a run replaces what it measured."""

FIVE_MINUTES = 300.0
SHOWN = 0.005  # calls per round; what is rarer is left out


def keep(measured: dict[str, Any]) -> dict[str, Any]:
    """Lay new measurements over the kept ones, and return all."""
    found: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    found = _rounded(found | measured)
    KEPT.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    return found


def _rounded(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


def write(measured: dict[str, Any]) -> None:
    """Write the page and its picture."""
    PAGE.write_text(page(measured))
    if measured.get("soak"):
        _draw(measured["soak"], PICTURE)


def page(measured: dict[str, Any]) -> str:
    """Return the page."""
    places = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - Markdown
    windows = [window(one) for one in measured["windows"]]
    verbs = sorted({verb for one in measured["windows"] for verb in one["calls"]}, key=_reading_first)
    rates = [(verb, [one["calls"].get(verb, 0) / rounds(one) for one in measured["windows"]]) for verb in verbs]
    text = places.from_string((HERE / "performance.md.j2").read_text()).render(
        cores=measured["cores"],
        caution=measured.get("caution"),
        start=start(measured["facts"], windows[-1]["objects"]),
        windows=windows,
        few=windows[0],
        idle=next(one for one in windows if one["rolling"] == 0),
        full=windows[-1],
        calls=[(verb, [f"{rate:.2f}" for rate in row]) for verb, row in rates if max(row) > SHOWN],
        status_bytes=f"{measured['facts']['status_bytes']:,.0f}",
        idle_bytes=f"{measured['facts']['idle_bytes']:,.0f}",
        profile=measured["profile"],
        soak=soak(measured["soak"]) if measured.get("soak") else None,
        figures=measured.get("figures"),
        looks=measured.get("looks"),
        looked=f"{REQUESTS:,}",
    )
    return text.rstrip() + "\n"


def _reading_first(call: str) -> tuple[bool, str]:
    return not call.startswith(("get", "list")), call


def window(one: dict[str, Any]) -> dict[str, Any]:
    """Return a window as it is shown."""
    seconds = one["seconds"]
    cuts = statistics.quantiles(one["lags"], n=100, method="inclusive")
    return {
        "name": one["name"],
        "rolling": one["rolling"],
        "objects": f"{one['objects']:,}",
        "rounds_per_second": f"{one['rounds'] / seconds:.1f}",
        "round_ms": f"{1000 * one['round_seconds']:.0f}",
        "calls_per_round": f"{sum(one['calls'].values()) / rounds(one):.1f}",
        "queries_per_second": f"{one['queries'] / seconds:.2f}",
        "cpu_per_thousand": f"{1000 * one['cpu_seconds'] / rounds(one):.1f}",
        "cpu_percent": f"{100 * one['cpu_seconds'] / seconds:.0f}",
        "memory": f"{one['memory_mb']:.0f}",
        "lag_p50": f"{cuts[49]:.1f}",
        "lag_p99": f"{cuts[98]:.1f}",
    }


def rounds(one: dict[str, Any]) -> int:
    """Return by how many rounds a window's counts are divided: by one where none came due."""
    return max(int(one["rounds"]), 1)


def start(facts: dict[str, float], objects: str) -> list[tuple[str, str]]:
    """Return what a growing fleet and a restart cost, as far as it was measured."""
    told = {
        "first_memory_mb": ("memory of a process that has seen nothing yet", "MB"),
        "grown_seconds": (f"{facts.get('grown_objects', 0):,.0f} new ModelDeployments, until all serve", "s"),
        "restart_ready_seconds": (f"a restart with {objects} ModelDeployments: ready after", "s"),
        "restart_steady_seconds": ("each has been looked at, and none waits, after", "s"),
        "restart_calls_per_object": ("API calls until then, per ModelDeployment", ""),
        "restart_memory_mb": ("memory then", "MB"),
    }
    return [(what, f"{facts[name]:.0f} {unit}".strip()) for name, (what, unit) in told.items() if name in facts]


def soak(told: list[dict[str, float]]) -> dict[str, Any]:
    """Return the long run as it is shown."""
    end = told[-1]["seconds"]
    length = min(FIVE_MINUTES, end / 3)

    def median(begin: float) -> str:
        inside = [one["memory_mb"] for one in told if begin <= one["seconds"] <= begin + length]
        return f"{statistics.median(inside):.1f}"

    return {
        "minutes": round(end / 60),
        "part": round(length / 60),
        "first": median(0),
        "middle": median((end - length) / 2),
        "last": median(end - length),
        "slope": f"{slope(told):+.1f}",
        "decided": f"{told[-1]['decided'] - told[0]['decided']:,.0f}",
        "replaced": f"{len(told):,}",
        "rounds": f"{told[-1]['rounds'] - told[0]['rounds']:,.0f}",
        "failed": f"{told[-1]['failed'] - told[0]['failed']:,.0f}",
    }


def slope(told: list[dict[str, float]]) -> float:
    """Return by how many MB per hour memory grew in the second half (least squares)."""
    half = [one for one in told if one["seconds"] >= told[-1]["seconds"] / 2]
    fitted = statistics.linear_regression([one["seconds"] for one in half], [one["memory_mb"] for one in half])
    return fitted.slope * 3600


def _draw(told: list[dict[str, float]], picture: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - a second that only a long run should pay

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    with mpl.rc_context({"svg.hashsalt": "assay", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
        axes.plot([one["seconds"] / 60 for one in told], [one["memory_mb"] for one in told], linewidth=1)
        axes.set(xlabel="minutes", ylabel="resident MB", ylim=(0, None), xlim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(picture, metadata={"Date": None})
        plt.close(figure)
