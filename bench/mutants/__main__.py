"""Change what decides by a little, again and again, and see whether a test fails. `make mutants`.

Everything happens in a copy of this checkout. Each mutant is tested in a fork of this process, in which what takes long
to import has been imported once; Hypothesis throws the same dice each time, and does not shrink what it finds. The tests of
a file run in the order of how long they took before anything was changed: most mutants are found in the first second.
"""

import importlib
import itertools
import json
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import pytest
from hypothesis import Phase, settings
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.mutants.change import Mutant, mutants

HERE: Final = Path(__file__).parent
SOURCES: Final = Path("operator/assay")
SLOW_TO_IMPORT: Final = (
    "numpy",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
    "pydantic",
    "yaml",
    "hypothesis.extra",
)
PATIENCE: Final = 3.0  # times what the tests take without a change, and a start
START_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 15  # of one test; more is a loop without an end
MEMORY: Final = 4 << 30  # bytes; a mutant may loop and fill it
FORK: Final = multiprocessing.get_context("fork")
ELSEWHERE: Final = 99
"""Exit code where the tests ran against another checkout."""


class QuickestFirst:
    """Sorts tests by the seconds that they took when nothing was changed, which it keeps in a file beside the copy."""

    def __init__(self, kept: Path) -> None:
        self.kept, self.known = kept, kept.exists()
        self.took: dict[str, float] = json.loads(kept.read_text(encoding="utf-8")) if self.known else {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort; what is not known comes first."""
        items.sort(key=lambda item: self.took.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up setup, call and teardown."""
        self.took[report.nodeid] = self.took.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        """Keep what the first run has shown."""
        if not self.known:
            self.kept.write_text(json.dumps(self.took), encoding="utf-8")


def _child(root: Path, tests: list[str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with Path("/dev/null").open("w", encoding="utf-8") as sys.stdout:
        sys.stderr = sys.stdout
        options = [
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not exhaustive and not e2e",
            "-c",
            f"{root}/pyproject.toml",
        ]
        options += ["--timeout", str(LONGEST_SECONDS)]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # Hypothesis has been imported already
        order = QuickestFirst(root.with_name("-".join(tests).replace("/", "-")))
        code = int(pytest.main([*options, *(f"{root}/tests/{one}" for one in tests)], plugins=[order]))
    at = getattr(sys.modules.get("assay"), "__file__", None)
    sys.exit(code if at is None or Path(at).is_relative_to(root) else ELSEWHERE)


def passes(root: Path, tests: list[str], seconds: float) -> bool:
    """Return whether all tests pass against the copy at `root`; what takes longer than so many seconds does not."""
    child = FORK.Process(target=_child, args=(root, tests))
    child.start()
    child.join(seconds)
    if child.is_alive():
        child.kill()
        child.join()
    if child.exitcode == ELSEWHERE:
        raise RuntimeError("the tests ran against another checkout; see PYTHONPATH")
    return child.exitcode == 0


def survivors(work: list[Mutant], guards: Mapping[str, Any], root: Path, errors: Console) -> list[Mutant]:
    """Return the mutants with which all tests of their file pass."""
    found, patience = [], {}
    for file in dict.fromkeys(mutant.file for mutant in work):
        begun = time.monotonic()
        if not passes(root, guards[file]["tests"], 600.0):
            raise RuntimeError(f"the tests of {file} fail without any change")
        patience[file] = START_SECONDS + PATIENCE * (time.monotonic() - begun)
    for mutant in track(work, "Testing mutants", console=errors):
        path = root / SOURCES / mutant.file
        kept = path.read_text(encoding="utf-8")
        path.write_text(mutant.source, encoding="utf-8")
        if passes(root, guards[mutant.file]["tests"], patience[mutant.file]):
            found.append(mutant)
            told = f"survived: {mutant.file}:{mutant.line} {mutant.before} -> {mutant.after}"
            errors.print(told, markup=False, soft_wrap=True)
        path.write_text(kept, encoding="utf-8")
    return found


def each(entry: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield what an entry of equivalent.toml says, one change at a time."""
    said = {name: value if isinstance(value, list) else [value] for name, value in entry.items() if name != "reason"}
    return (dict(zip(said, values, strict=True)) for values in itertools.product(*said.values()))


def means(one: Mapping[str, str], mutant: Mutant) -> bool:
    """Return whether that is about this mutant: what it does not say may be anything."""
    return all(getattr(mutant, name) == value for name, value in one.items())


def untrue(guards: Mapping[str, Any]) -> Iterator[str]:
    """Yield what guards.toml says, or leaves unsaid, against what is there."""
    for path in sorted((SOURCES / "stats").glob("[!_]*.py")):
        if f"stats/{path.name}" not in guards:
            yield f"guards.toml says nothing of stats/{path.name}"
    for file, entry in guards.items():
        source = (SOURCES / file).read_text(encoding="utf-8")
        yield from (f"{file} has no function {word}" for word in entry.get("words", ()) if f"def {word}(" not in source)


@click.command()
@click.option("--mutants", "many", type=int, help="Only a sample of so many.")
@click.option("--seed", default=20261121, show_default=True, help="Of the sample.")
@click.option("--only", multiple=True, help="Only these files, as in guards.toml.")
def main(many: int | None, seed: int, only: tuple[str, ...]) -> None:
    """Make mutants of what decides; fail where one survives that is not known to be equivalent."""
    guards = tomllib.loads((HERE / "guards.toml").read_text(encoding="utf-8"))
    wrong = list(untrue(guards))
    if wrong:
        raise click.ClickException("; ".join(wrong))
    entries = tomllib.loads((HERE / "equivalent.toml").read_text(encoding="utf-8"))["equivalent"]
    listed = [one for entry in entries for one in each(entry) if one["file"] in (only or guards)]
    work = [
        mutant
        for file in only or guards
        for mutant in mutants(file, (SOURCES / file).read_text("utf-8"), tuple(guards[file].get("words", ())))
    ]
    if many:
        work = sorted(random.Random(seed).sample(work, many), key=lambda one: (one.file, one.line))  # noqa: S311
    for name in SLOW_TO_IMPORT:
        importlib.import_module(name)
    sys.dont_write_bytecode = True
    settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), derandomize=True, database=None)
    settings.load_profile("mutants")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "copy"
        shutil.copytree(Path.cwd(), root, ignore=shutil.ignore_patterns(".*", "__pycache__", "build"))
        alive = survivors(work, guards, root, Console(stderr=True))
    seconds = time.monotonic() - begun
    unknown = [mutant for mutant in alive if not any(means(one, mutant) for one in listed)]
    stale = [one for one in listed if not any(means(one, mutant) for mutant in alive)]
    stale = [] if many else stale  # a sample need not hold what is listed
    table = Table("where", "was", "survived as", title="Mutants that no test noticed")
    for mutant in unknown:
        table.add_row(f"{mutant.file}:{mutant.line} {mutant.function}", mutant.before, mutant.after)
    if unknown:
        Console(width=None if sys.stdout.isatty() else 240, markup=False).print(table)
    for one in stale:
        click.echo(f"listed as equivalent, but killed or no longer there: {one}")
    click.echo(
        f"{len(work)} mutants in {seconds:.0f} s: {len(work) - len(alive)} killed,"
        f" {len(alive) - len(unknown)} known to be equivalent, {len(unknown)} survived."
    )
    sys.exit(1 if unknown or stale else 0)


if __name__ == "__main__":
    main()
