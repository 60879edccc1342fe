"""The bench starts, measures the router for real, and the page says what was measured. The fleet: tests/e2e/test_scale.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench import looks, page, profile

ROOT = Path(__file__).parents[1]


def bench(*argv: str) -> str:
    environment = os.environ | {"PYTHONPATH": "examples"}  # as the Makefile sets it
    command = [sys.executable, "-m", "bench", *argv]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def test_its_help_teaches() -> None:
    assert "Measure what Assay costs and how fast it acts." in bench("--help")


def test_the_router_is_measured_as_ratios_of_one_run() -> None:
    figures = json.loads(bench("--router-only", "-o", "json"))

    assert [figure["unit"] for figure in figures] == ["ratio"] * 4
    # A busy machine can turn any of them; not the middle of the first, where there is no model to wait for, below what is direct.
    assert all(figure["value"] > 0 for figure in figures)
    assert figures[0]["value"] > 1


def test_the_page_is_what_was_measured_and_nobody_typed() -> None:
    assert page.PAGE.read_text() == page.page(json.loads(page.KEPT.read_text()))


def test_memory_that_grows_is_seen_as_a_slope_per_hour() -> None:
    told = [{"seconds": 10.0 * n, "memory_mb": 100 + max(0, n - 50) / 10} for n in range(101)]

    assert round(page.slope(told)) == 36


def test_a_sample_belongs_to_the_innermost_part_of_the_program() -> None:
    called = "_work (assay/app/queue.py:1);_round (assay/app/reconcile.py:2)"
    stacks = f"{called};call (assay/adapters/apiserver.py:3);loads (json/__init__.py:4) 3\nrun (asyncio/run.py:1);x (kopf/y.py:1) 1"

    assert [(one.part, one.share) for one in profile.parts(stacks)] == [
        ("API server: asking and reading", 0.75),
        ("kopf: watching and its events", 0.25),
    ]


def test_a_look_of_each_kind_is_measured_and_counts() -> None:
    few, *_, mean = looks.kinds()

    assert all(looks.milliseconds(one) > 0 for one in (few, mean))
    assert len({(one.name, one.pods) for one in looks.kinds()}) == len(looks.kinds())
