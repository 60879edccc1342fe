"""The demo in the terminal: one live table, and a summary at the end."""

from collections.abc import Sequence

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flights.demo.timeline import Act, Evidence

COLOURS = {"Pass": "green", "Fail": "red", "Undecided": "yellow", "NoData": "magenta"}
OUTCOMES = {"Promoted": "green", "RolledBack": "red"}


def live(act: Act) -> RenderableType:
    """Return the table of an act as it stands."""
    if not act.samples:
        return Panel(f"{act.title}: applied, waiting for the operator", title=f"revision {act.revision}")
    now = act.samples[-1]
    head = Table.grid(padding=(0, 2))
    head.add_row("revision", f"[bold]{act.revision}[/] {act.hash or now.candidate}")
    head.add_row("stage", f"{now.stage}, step {now.step + 1}")
    head.add_row("weight", Group(Bar(100, 0, now.weight, width=50, color="cyan"), Text(f"{now.weight} %")))
    lost = f"[red]{now.lost}[/]" if now.lost else "0"
    head.add_row("requests", f"{now.answers} answered, {now.candidate_answers} by the candidate, {lost} lost")
    head.add_row("time", f"{now.seconds:.0f} s since kubectl apply")
    checks = Table("check", "verdict", "harm", "safety", "evidence", expand=True)
    for check in now.checks:
        checks.add_row(*_row(check))
    return Panel(Group(head, checks), title=act.title)


def _row(check: Evidence) -> tuple[RenderableType, ...]:
    verdict = Text(check.verdict, style=COLOURS.get(check.verdict, ""))
    harm, safety = f"{check.harm:.3g} of {check.harm_limit:.0f}", f"{check.safety:.3g} of {check.safety_limit:.0f}"
    return check.name, verdict, harm, safety, check.reason


def line(act: Act) -> str:
    """Return one line for where there is no terminal."""
    if not act.samples:
        return f"{act.revision}: applied"
    now = act.samples[-1]
    checks = "; ".join(f"{check.name} {check.verdict}" for check in now.checks)
    return f"{act.revision}: {now.stage}, weight {now.weight} %, {checks or 'no check yet'}"


def summary(acts: Sequence[Act]) -> RenderableType:
    """Return what was decided, when, and on which evidence."""
    table = Table("revision", "outcome", "seconds", "candidate requests", "lost", "evidence", title="What was decided")
    for act in acts:
        outcome = Text(act.outcome or "no decision", style=OUTCOMES.get(act.outcome, "red"))
        table.add_row(act.revision, outcome, f"{act.seconds:.0f}", str(act.candidate_requests),
                      str(act.lost_requests), act.reason)  # fmt: skip
    return table
