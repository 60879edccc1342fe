"""Where does the operator spend its time? py-spy looks at the process from outside, some hundred times a second."""

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PER_SECOND = 200

# A line is a part of the program, told by the innermost frame of a stack that lies in one of these places. The first
# match counts, so the order is from the particular to the general.
PARTS = {
    "kopf: watching and its events": ("kopf/",),
    "Prometheus: asking and reading": ("assay/adapters/prometheus.py",),
    "API server: asking and reading": ("assay/adapters/apiserver.py", "assay/adapters/kube.py"),
    "parsing ModelDeployments": ("parse (assay/app/reconcile.py",),
    "deciding": ("assay/core/", "assay/stats/"),
    "saving status": ("_save (assay/app/reconcile.py",),
    "the queue and the rest of a round": ("assay/app/",),
    "event loop": ("asyncio/",),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A part of the program."""

    part: str
    share: float
    """Of all samples that held the interpreter."""


async def recorded(pid: int, seconds: float, file: Path) -> list[Line]:
    """Watch a process; only threads that hold the interpreter's lock count, so waiting does not."""
    spy = str(Path(sys.executable).parent / "py-spy")  # of the same environment, whatever PATH says
    argv = [spy, "record", "--nonblocking", "--gil", "--rate", str(PER_SECOND), "--duration", str(round(seconds))]
    argv += ["--format", "raw", "--output", str(file), "--pid", str(pid)]
    running = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    if await running.wait():
        raise SystemExit(f"py-spy could not look at process {pid} (exit {running.returncode}).")
    return parts(file.read_text())  # noqa: ASYNC240 - some hundred kB


def parts(stacks: str) -> list[Line]:
    """Return the shares of the program's parts.

    Args:
        stacks: Lines of `frame;frame;frame count`, outermost frame first, a frame being `function (file:line)`.
    """
    found: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, count = line.rsplit(" ", 1)
        found[_part(stack.split(";"))] += int(count)
    return [Line(part, count / found.total()) for part, count in found.most_common()]


def _part(frames: list[str]) -> str:
    for frame in reversed(frames):
        for part, places in PARTS.items():
            if any(place in frame for place in places):
                return part
    return "the interpreter"
