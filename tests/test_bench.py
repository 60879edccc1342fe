"""The bench starts, and measures the router for real."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
    assert all(figure["value"] > 1 for figure in figures)
