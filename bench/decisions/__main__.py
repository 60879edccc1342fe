"""Measure how often Assay's decision rule is wrong and how soon it is right, beside what others do. `make bench-decisions`."""

import json
from collections import defaultdict
from typing import Any

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.decisions import section
from bench.decisions.measure import TABLES, WHOLE_TABLE, Key, Tally, cores, jobs, measured


@click.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="For people or machines.")
@click.option("--replications", default=4000, show_default=True, help="Simulated rollouts per cell.")
@click.option("--seed", default=20261121, show_default=True, help="Of the dice.")
@click.option("--only", multiple=True, type=click.Choice([*TABLES, WHOLE_TABLE]), help="Measure these tables anew.")
@click.option("--dry", is_flag=True, help="Write no page.")
@click.option("--page-only", is_flag=True, help="Write the section anew from what was measured last.")
def main(  # noqa: PLR0913 - the options of a program
    output: str, *, replications: int, seed: int, only: tuple[str, ...], dry: bool, page_only: bool
) -> None:
    """Measure decision rules in simulated rollouts; write their table into docs/explanation/decisions.md."""
    before = json.loads(section.KEPT.read_text(encoding="utf-8"))
    if page_only:
        section.write(before)
        return
    if only and (before["seed"], before["replications"]) != (seed, replications):
        raise click.UsageError("--only keeps the other tables, so seed and replications must be those they have.")
    errors = Console(stderr=True)
    work = [job for job in jobs(replications, seed) if not only or job.table in only]
    tallies: dict[Key, Tally] = defaultdict(Tally)
    for counted in track(measured(work, cores()), "Simulating rollouts", len(work), console=errors):
        for key, tally in counted.items():
            tallies[key] += tally
    found = section.kept(tallies, replications, seed)
    if only:
        found["tables"] |= {name: cells for name, cells in before["tables"].items() if name not in only}
    if not dry:
        section.write(found)
    if output == "json":
        click.echo(json.dumps(found))
        return
    Console().print(_shown(found))


def _shown(found: dict[str, Any]) -> Table:
    """Return all cells, for people."""
    table = Table("world", "rule", "rolled back", "promoted", "looks", title="Measured in this run")
    for worlds in found["tables"].values():
        for world, row in worlds.items():
            for rule, one in row.items():
                rates = (
                    f"{100 * one[name]:.1f} ± {100 * one[f'{name}_error']:.1f} %"
                    for name in ("rolled_back", "promoted")
                )
                table.add_row(world, rule.replace("**", ""), *rates, f"{one['looks']:.2f} ± {one['looks_error']:.2f}")
    return table


if __name__ == "__main__":
    main()
