"""The comparison of decision rules: what it says is measured, with the operator's own code, and can be had again."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.decisions import latency, section
from bench.decisions.measure import ASSAY, CHUNK, TABLES, WHOLE_TABLE, Job, Tally, jobs
from bench.decisions.ours import Assay
from bench.decisions.rules import DEFAULTS, IN_BEYOND, IN_TRAPS, NAIVE, OURS, SHIPPED, STRATIFIED, Rule
from bench.decisions.whole import WHOLE
from bench.decisions.worlds import BEYOND, LOOKS, MAIN, REGIMES, TRAPS, World, steady

from assay.stats.proportion import Look, harm, reached, safety, start, update
from peers.streams import Streams

ROOT = Path(__file__).parents[1]
RUNS = 200


@cache
def tallies(table: str, world: int) -> dict[str, Tally]:
    return {rule: tally for (_, _, rule), tally in Job(table, world, 0, RUNS, 1).done().items()}


def wrong(table: str, world: int, rule: str) -> float:
    return tallies(table, world)[rule].rolled_back / RUNS


def some(world: World, runs: int) -> Streams:
    seen: Streams = world.streams(np.random.default_rng(2), runs)
    return seen


@pytest.mark.parametrize("world", [0, 1])
def test_our_false_rollbacks_are_as_promised_and_those_of_a_repeated_test_are_not(world: int) -> None:
    assert MAIN[world].healthy
    assert wrong("detecting", world, OURS.name) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)
    assert wrong("detecting", world, SHIPPED.name) <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / RUNS)
    assert wrong("detecting", world, NAIVE.name) > 0.15


def test_a_doubled_error_rate_is_found_nearly_as_fast_as_can_be() -> None:
    found = tallies("detecting", 3)[OURS.name]

    assert not MAIN[3].healthy
    assert found.rolled_back == RUNS
    assert 2.93 < found.looks / RUNS < 1.45 * 2.93


def test_on_a_ramp_whoever_pools_looks_is_fooled_and_we_keep_our_promise() -> None:
    ramp = next(number for number, world in enumerate(TRAPS) if "while the shared rate rises" in world.name)
    rates = {rule.name: wrong("traps", ramp, rule.name) for rule in IN_TRAPS}

    assert rates.pop(OURS.name) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)
    assert rates.pop(STRATIFIED.name) < 0.2
    assert min(rates.values()) > 0.95


def test_the_program_says_a_cell_for_each_world_and_rule() -> None:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'operator'}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-m", "bench.decisions", "--replications", "3", "--dry", "-o", "json"]
    found = json.loads(
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    )

    assert found["replications"] == 3
    for name, table in TABLES.items():
        assert {world: set(row) for world, row in found["tables"][name].items()} == {
            world.name: {rule.name for rule in table.rules} for world in table.worlds
        }
    whole = found["tables"].pop(WHOLE_TABLE)
    assert {
        (name, one["runs"]) for name, table in found["tables"].items() for row in table.values() for one in row.values()
    } == {(name, math.ceil(3 / table.share)) for name, table in TABLES.items()}
    assert {world: row[ASSAY]["runs"] for world, row in whole.items()} == {world.name: 1 for world in WHOLE}


def test_the_section_is_what_was_measured_and_nobody_typed() -> None:
    text = section.PAGE.read_text(encoding="utf-8")

    assert section.page(text, kept()) == text
    for rule in TABLES["detecting"].rules:
        assert f"\n| {rule.name} |" in text


@cache
def kept() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(section.KEPT.read_text(encoding="utf-8"))
    return found


def share(table: str, world: World, rule: Rule) -> float:
    """What was measured, less what chance may have added."""
    one = kept()["tables"][table][world.name][rule.name]
    return float(one["rolled_back"] - 3 * one["rolled_back_error"])


def looks(table: str, world: World, rule: Rule) -> float:
    return float(kept()["tables"][table][world.name][rule.name]["looks"])


@pytest.mark.parametrize("table", ["detecting", "regimes", "traps"])
def test_nowhere_where_it_is_promised_were_more_healthy_candidates_rolled_back(table: str) -> None:
    ours = [rule for rule in TABLES[table].rules if rule.name.startswith("**Assay**")]

    assert OURS in ours
    for world in TABLES[table].worlds:
        if world.healthy:
            assert all(share(table, world, rule) <= rule.level for rule in ours)


@pytest.mark.parametrize("table", ["detecting", "regimes"])
def test_nobody_who_keeps_the_promise_was_faster_than_the_least_possible(table: str) -> None:
    worlds, least = TABLES[table].worlds, kept()["least"]["0.05"]
    beaten = 0
    for world in worlds:
        for rule in TABLES[table].rules:
            same = [
                one
                for one in worlds
                if one.healthy and one.known and world.known and one.known.requests == world.known.requests
            ]
            keeps = all(share(table, one, rule) <= 0.05 for one in same)
            slack = 3 * kept()["tables"][table][world.name][rule.name]["looks_error"]
            if not world.healthy and keeps:
                assert looks(table, world, rule) + slack >= least[world.name]
            elif not world.healthy:
                beaten += looks(table, world, rule) < least[world.name]
    assert beaten > 0  # or the bound would be idle


def test_what_the_page_admits_in_words_is_what_was_measured() -> None:
    half, plain = MAIN[2], MAIN[4]
    assert looks("detecting", half, SHIPPED) > 2 * looks("detecting", half, OURS)
    few = next(world for world in REGIMES if world.known and world.known.requests == 30 and world.known.truth == 0.015)
    assert share("regimes", few, SHIPPED) < 0.25
    assert looks("detecting", plain, NAIVE) <= looks("detecting", plain, OURS)
    lottery = next(world for world in BEYOND if "pods differ" in world.name)
    assert share("beyond", lottery, OURS) > OURS.level
    assert share("beyond", lottery, IN_BEYOND[-1]) > IN_BEYOND[-1].level == 0.01
    even = [world for world in REGIMES if world.known and world.known.requests == 1500 and not world.healthy]
    assert all(looks("regimes", world, OURS) > 1.5 * kept()["least"]["0.05"][world.name] for world in even)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    first, again, other = (Job("detecting", 3, 0, 20, seed).done() for seed in (1, 1, 2))

    assert first == again != other


def test_chunks_are_of_different_dice_and_add_up() -> None:
    work = [job for job in jobs(CHUNK + 7, seed=1) if (job.table, job.world) == ("detecting", 4)]

    assert [job.runs for job in work] == [CHUNK, 7]
    streams = [dataclasses.replace(job, runs=5).done() for job in work]
    assert streams[0] != streams[1]
    assert Tally.of(np.array([3, -2, 0])) + Tally.of(np.array([1])) == Tally(4, 2, 1, 66, 9 + 4 + 3600 + 1)


def test_assay_is_decided_by_the_operators_code_one_look_after_the_other() -> None:
    """Without the memory of laws, written out plainly."""
    seen = some(steady(0.01, 0.014), 40)
    to_roll_back, to_promote, plainly = harm(DEFAULTS.alpha, 1.1), safety(0.05, 1.5), []
    for run in range(40):
        bad, good, decided = start(to_roll_back), start(to_promote), 0
        for k in range(LOOKS):
            look = Look(
                *(
                    int(part[run, k])
                    for part in (seen.candidate_total, seen.candidate_bad, seen.stable_total, seen.stable_bad)
                )
            )
            bad, good = update(to_roll_back, bad, look), update(to_promote, good, look)
            if reached(to_roll_back, bad) or reached(to_promote, good):
                decided = k + 1 if reached(to_roll_back, bad) else -(k + 1)
                break
        plainly.append(decided)

    assert {np.sign(one) for one in plainly} == {-1, 0, 1}
    assert DEFAULTS.decide(seen).tolist() == plainly


def test_the_warm_up_is_not_counted_but_takes_its_time() -> None:
    seen = some(steady(0.01, 0.05), 20)
    later = Streams(
        *(part[:, 2:] for part in (seen.candidate_total, seen.candidate_bad, seen.stable_total, seen.stable_bad))
    )

    assert (Assay(warmup=2).decide(seen) == Assay().decide(later) + 2).all()


def test_a_divisor_makes_evidence_slower_and_is_measured_where_there_is_a_history() -> None:
    clusters = some(TABLES["beyond"].worlds[0], 60)

    assert (Assay().decide(clusters) > 0).mean() > 0.25
    assert (Assay(measures=True).decide(clusters) > 0).mean() < 0.12
    with pytest.raises(ValueError, match="no history"):
        Assay(measures=True).decide(some(steady(0.01, 0.01), 1))


@pytest.mark.parametrize(
    "world",
    [world for name, table in TABLES.items() for world in table.worlds if name != "latency"],
    ids=lambda one: one.name,
)
def test_every_world_gives_counts_that_a_look_allows(world: World) -> None:
    seen = some(world, 20)

    assert seen.candidate_total.shape == (20, LOOKS)
    for bad, total in ((seen.candidate_bad, seen.candidate_total), (seen.stable_bad, seen.stable_total)):
        assert (bad >= 0).all()
        assert (bad <= total).all()


@pytest.mark.parametrize("world", latency.WORLDS, ids=lambda one: one.name)
def test_every_world_of_latency_gives_as_many_requests_at_every_look(world: World) -> None:
    seen = world.streams(np.random.default_rng(2), 20)

    assert seen.candidate.shape == (20, LOOKS, len(latency.BOUNDS))
    assert set(seen.stable.sum(axis=2).flat) in ({2700}, {270})
    assert (9 * seen.candidate.sum(axis=2) == seen.stable.sum(axis=2)).all()


@pytest.mark.parametrize(("world", "oracle"), [(1, 1.0), (2, 1.18), (3, 3.7), (5, 2.7)])
def test_what_is_slower_is_found_within_twice_what_the_likelihood_ratio_needs(world: int, oracle: float) -> None:
    found = tallies("latency", world)[latency.OURS.name]

    assert found.rolled_back == RUNS
    assert found.looks / RUNS <= 2 * oracle


def test_what_is_equal_is_rolled_back_by_ranks_looked_at_again_and_again_and_by_few_requests_quantile() -> None:
    assert wrong("latency", 4, latency.OURS.name) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)
    assert wrong("latency", 4, latency.NAIVE.name) > 0.15
    assert wrong("latency", 4, latency.RULES[0].name) > 0.9


def test_lost_scrapes_lose_no_request_but_those_at_the_end() -> None:
    lost = next(world for world in TRAPS if "scrapes lost" in world.name)
    seen = some(lost, 200)

    assert (seen.candidate_total == 0).mean() == pytest.approx(2 / 3, abs=0.02)
    assert (seen.candidate_total % 300 == 0).all()
    assert seen.candidate_total.sum(axis=1).min() > 300 * (LOOKS - 20)
