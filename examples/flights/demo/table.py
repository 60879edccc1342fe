"""How does a release look in a terminal: live, as lines, and at the end?"""

from collections.abc import Sequence

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flights.demo.timeline import Act, Arm, Evidence, Sample
from flights.demo.words import outcome_of, strength

COLOURS = {"Pass": "green", "Fail": "red", "Undecided": "yellow", "NoData": "magenta"}
OUTCOMES = {"Promoted": "green", "RolledBack": "red"}
BAR = 24  # characters


def live(act: Act) -> RenderableType:
    """Return the table of an act as it stands."""
    title = f"[bold]{act.title}[/]  [dim]{act.revision} over {act.over}[/]"
    if not act.samples:
        return Panel(f"kubectl apply of {act.revision}; waiting for the operator", title=title, title_align="left")
    now = act.samples[-1]
    return Panel(Group(_arms(act, now), "", _checks(now), "", _foot(act, now)), title=title, title_align="left")


def _arms(act: Act, now: Sample) -> Table:
    table = Table("revision", "hash", "weight", "", "answered", "HTTP 5xx", box=None, padding=(0, 2, 0, 0))
    for name, arm, colour in ((act.over, now.served, "blue"), (act.revision, now.released, "dark_orange")):
        table.add_row(Text(name, style=f"bold {colour}"), arm.revision or "-", *_weight(arm, colour),
                      f"{arm.answered:,}", Text(f"{arm.failed:,}", style="red" if arm.failed else ""))  # fmt: skip
    return table


def _weight(arm: Arm, colour: str) -> tuple[RenderableType, RenderableType]:
    return f"{arm.weight:3d} %", Bar(100, 0, arm.weight, width=BAR, color=colour, bgcolor="grey23")


def _checks(now: Sample) -> Table:
    table = Table("check", "verdict", "harm", "safety", "evidence", box=None, padding=(0, 2, 0, 0))
    for check in now.checks:
        verdict = Text(check.verdict, style=COLOURS.get(check.verdict, ""))
        harm = _evidence(check.harm, check.harm_limit, "red")
        safety = _evidence(check.safety, check.safety_limit, "green")
        table.add_row(check.name, verdict, harm, safety, Text(_counts(check), style="dim"))
    return table


def _evidence(value: float, limit: float, colour: str) -> RenderableType:
    """Return evidence as a bar on a logarithmic scale, which is how it grows, and in figures."""
    if not limit:
        return Text("not counted yet", style="dim")
    figures = Text(f"{value:.3g} of {limit:.0f}", style=colour if value >= limit else "")
    return Group(Bar(1, 0, strength(value, limit), width=14, color=colour, bgcolor="grey23"), figures)


def _counts(check: Evidence) -> str:
    """Return the counts alone: the figures of the evidence have columns of their own."""
    return check.reason.partition("; ")[0]


def _foot(act: Act, now: Sample) -> Text:
    lost = ("0 lost", "green") if not now.lost else (f"{now.lost:,} lost", "bold red")
    step = f", {_step(now)}" if _step(now) else ""
    words: list[str | tuple[str, str]] = [
        (f"{now.stage}{step}", "bold"),
        f"   {now.seconds:.0f} s   {now.requests:,} requests, ",
        lost,
    ]
    if act.ending is not None:
        words += [("   " + outcome_of(act), OUTCOMES.get(act.ending.outcome, "red"))]
    return Text.assemble(*words)


def _step(now: Sample) -> str:
    return f"step {now.step + 1} of {now.steps}" if now.stage in {"Preparing", "Analysing"} else ""


def mark(act: Act) -> object:
    """Return what makes a new line where there is no terminal: evidence alone does not."""
    if not act.samples:
        return act.revision
    now = act.samples[-1]
    return now.stage, now.released.weight, _step(now), [check.verdict for check in now.checks], act.ending


def line(act: Act) -> str:
    """Return one line for where there is no terminal."""
    if not act.samples:
        return f"{act.title}: kubectl apply of {act.revision} over {act.over}"
    if act.ending is not None:
        return f"{act.revision}  {outcome_of(act)}"
    now = act.samples[-1]
    checks = "; ".join(f"{check.name} {check.verdict}, {_figures(check)}" for check in now.checks)
    return (
        f"{now.seconds:5.1f} s  {act.revision} {now.released.revision or '-':8}  {now.released.weight:3d} %  "
        f"{_step(now):11}  {now.stage:11}  {checks or 'no check yet'}; "
        f"{now.requests:,} requests, {now.lost:,} lost"
    )


def _figures(check: Evidence) -> str:
    if not check.harm_limit:
        return "nothing counted yet"
    safety = f", safety {check.safety:.3g} of {check.safety_limit:.0f}" if check.safety_limit else ""
    return f"harm {check.harm:.3g} of {check.harm_limit:.0f}{safety}"


def summary(acts: Sequence[Act]) -> RenderableType:
    """Return what was decided, when, and on which evidence."""
    table = Table("release", "outcome", "decided after", "by check", "on which evidence", "lost",
                  title="What was decided", title_justify="left")  # fmt: skip
    for act in acts:
        ending = act.ending
        if ending is None:
            table.add_row(act.revision, Text("undecided", style="red"), "-", "-", "-", "-")
            continue
        after = f"{ending.seconds:.0f} s\n{ending.candidate_requests:,} candidate requests"
        table.add_row(f"{act.revision} over {act.over}", Text(ending.outcome, style=OUTCOMES.get(ending.outcome, "red")),
                      after, ending.check, ending.reason, str(ending.lost))  # fmt: skip
    return table
