"""How often and how fast does each rule decide in each world? Simulated in chunks, on all cores."""

import math
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from bench.decisions import latency, rules, worlds
from bench.decisions.rules import Rule
from bench.decisions.whole import WHOLE
from bench.decisions.worlds import LOOKS, World
from peers.streams import Ints

CHUNK = 250
WHOLE_CHUNK = 25
WHOLE_SHARE = 8
"""A whole rollout costs a hundred times as much as a stream of counts: so many times fewer are simulated."""
WHOLE_TABLE, ASSAY = "whole", "Assay"
Key: TypeAlias = tuple[str, str, str]
"""Table, world, rule."""


@dataclass(frozen=True, slots=True)
class Table:
    """Worlds and the rules that are let loose in them."""

    worlds: tuple[World, ...]
    rules: tuple[Rule, ...]
    share: int = 1
    """So many times fewer rollouts are simulated, where each costs more."""


TABLES = {
    "detecting": Table(worlds.MAIN, rules.DETECTING),
    "deciding": Table(worlds.MAIN, rules.DECIDING),
    "regimes": Table(worlds.REGIMES, rules.IN_REGIMES),
    "traps": Table(worlds.TRAPS, rules.IN_TRAPS),
    "beyond": Table(worlds.BEYOND, rules.IN_BEYOND),
    "latency": Table(latency.WORLDS, latency.RULES, share=5),
}


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted; adds up over chunks."""

    runs: int = 0
    rolled_back: int = 0
    promoted: int = 0
    looks: int = 0
    """Sum of the looks until a decision, or until the end."""
    squares: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        mine, theirs = asdict(self), asdict(other)
        return Tally(**{name: mine[name] + theirs[name] for name in mine})

    @classmethod
    def of(cls, decided: Ints) -> "Tally":
        """Count decisions."""
        looks = np.where(decided == 0, LOOKS, np.abs(decided))
        return cls(
            decided.size, int((decided > 0).sum()), int((decided < 0).sum()), int(looks.sum()), int((looks**2).sum())
        )

    def shown(self) -> dict[str, Any]:
        """Return shares and mean with their standard errors."""
        rate, promoted, mean = self.rolled_back / self.runs, self.promoted / self.runs, self.looks / self.runs
        return {
            "runs": self.runs,
            "rolled_back": rate,
            "rolled_back_error": math.sqrt(rate * (1 - rate) / self.runs),
            "promoted": promoted,
            "promoted_error": math.sqrt(promoted * (1 - promoted) / self.runs),
            "looks": mean,
            "looks_error": math.sqrt(max(self.squares / self.runs - mean**2, 0.0) / self.runs),
        }


@dataclass(frozen=True, slots=True)
class Job:
    """So many rollouts of one world, decided by all rules of a table."""

    table: str
    world: int
    chunk: int
    runs: int
    seed: int

    def done(self) -> dict[Key, Tally]:
        """Simulate, and let every rule decide the same rollouts."""
        if self.table == WHOLE_TABLE:
            whole = WHOLE[self.world]
            return {(self.table, whole.name, ASSAY): Tally.of(whole.decide(self._dice(whole.name), self.runs))}
        table = TABLES[self.table]
        world = table.worlds[self.world]
        seen = world.streams(self._dice(world.name), self.runs)
        return {(self.table, world.name, rule.name): Tally.of(rule.decide(seen, world)) for rule in table.rules}

    def _dice(self, world: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(world.encode()), self.chunk])


def jobs(replications: int, seed: int) -> list[Job]:
    """Return the work; a rollout's dice depend on seed, world and chunk alone, not on who simulates it."""
    sizes = {name: (len(table.worlds), math.ceil(replications / table.share), CHUNK) for name, table in TABLES.items()}
    sizes[WHOLE_TABLE] = len(WHOLE), math.ceil(replications / WHOLE_SHARE), WHOLE_CHUNK
    return [
        Job(name, world, number, min(chunk, runs - number * chunk), seed)
        for name, (worlds_, runs, chunk) in sizes.items()
        for world in range(worlds_)
        for number in range(math.ceil(runs / chunk))
    ]


def measured(work: list[Job], processes: int) -> Iterator[dict[Key, Tally]]:
    """Yield what each job counted, in order."""
    if processes == 1:
        yield from map(Job.done, work)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(Job.done, work)


def cores() -> int:
    """Return on how many cores we may run."""
    return len(os.sched_getaffinity(0))
