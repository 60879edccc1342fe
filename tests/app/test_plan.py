"""`assay plan` tells before a rollout what it can find out, or in one sentence what it must know."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from assay.app.cli import main

ROOT = Path(__file__).parents[2]
SPEC = str(ROOT / "examples" / "replay" / "modeldeployment.yaml")


def plan(*argv: str) -> Result:
    return CliRunner().invoke(main, ["plan", "--spec", SPEC, *argv])


def test_an_equal_candidate_needs_what_design_and_simulation_say() -> None:
    result = plan("--rate", "100", "--baseline", "0.01", "--dispersion", "1", "-o", "json")

    (check,) = json.loads(result.stdout)["checks"]
    assert 3000 < check["promote"]["requests"] < 5000  # simulated: 3,800 at a margin of 0.5
    assert check["promote"]["seconds"] == pytest.approx(60 + check["promote"]["requests"] / 10, abs=1)
    assert [one["times"] for one in check["detect"]] == [1.5, 2.0, 5.0]
    assert check["underpowered"] == ""


def test_too_little_traffic_is_called_underpowered() -> None:
    shown = plan("--rate", "0.5", "--baseline", "0.01").stdout

    assert "Underpowered: check errors needs about" in " ".join(shown.split())


def test_the_commands_of_the_how_to_run_as_they_stand_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "how-to" / "plan-a-release.md").read_text()
    for line in re.findall(r"```console\n(.*?)```", page, re.DOTALL)[0].splitlines():
        result = CliRunner().invoke(main, shlex.split(line)[1:])

        assert result.exit_code == 0, result.output
        assert "errors" in result.stdout


def with_checks(folder: Path, *checks: dict[str, Any]) -> str:
    """Return the path of the spec with other checks."""
    errors = "- {name: errors, preset: error-ratio}"
    written = "\n      ".join(f"- {json.dumps(check)}" for check in checks)
    (folder / "spec.yaml").write_text(Path(SPEC).read_text().replace(errors, written))
    return str(folder / "spec.yaml")


COUNTERS = {key: {"metric": "x"} for key in ("count", "sum", "sumOfSquares")}
ERRORS = {"name": "errors", "preset": "error-ratio"}
REVENUE = {"name": "revenue", "mean": COUNTERS, "better": "Higher", "margin": {"relative": "0.2"}}
DRIFT = {"name": "drift", "gauge": {"metric": "x"}}


def planned(spec: str, *argv: str) -> Result:
    return CliRunner().invoke(main, ["plan", "--spec", spec, *argv])


def test_it_says_of_which_checks_nothing_can_be_foretold_and_what_it_must_know(tmp_path: Path) -> None:
    argv = (with_checks(tmp_path, ERRORS, REVENUE, DRIFT), "--rate", "100", "--baseline", "0.01")

    shown, told = (planned(*argv, *more).stdout for more in ((), ("-o", "json")))

    flat = " ".join(shown.split())
    assert "Check revenue judges values: how long it takes depends on how much they differ" in flat
    assert "Give --variation revenue=NUMBER, their standard deviation over their mean" in flat
    assert "Check drift is a gauge, of which nothing can be foretold." in flat
    assert json.loads(told)["unforeseen"] == ["revenue", "drift"]
    assert [one["check"] for one in json.loads(told)["checks"]] == ["errors"]


def test_with_the_variation_a_mean_is_foretold_as_a_simulation_has_it(tmp_path: Path) -> None:
    argv = (with_checks(tmp_path, ERRORS, REVENUE), "--rate", "10000", "--rate", "revenue=20", "--baseline", "0.01")

    result = planned(*argv, "--variation", "revenue=1", "-o", "json")

    told = json.loads(result.stdout)
    assert told["unforeseen"] == []
    (_, revenue) = told["checks"]
    # At 10 %, looks each 15 s have 30 + 270 values; simulated, 357 of the candidate are needed (tests/stats).
    assert revenue["promote"]["requests"] == pytest.approx(357, rel=0.1)
    assert revenue["promote"]["seconds"] == pytest.approx(60 + revenue["promote"]["requests"] / 2, abs=1)
    assert 0.5 < revenue["smallestDetectable"] < 0.9
    assert [one["times"] for one in revenue["detect"]] == [1.5, 2.0, 5.0]


def test_a_plan_of_values_alone_needs_no_baseline_and_is_shown_in_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    spec = with_checks(tmp_path, REVENUE)

    enough, few = (
        " ".join(planned(spec, "--rate", rate, "--variation", "2").stdout.split()) for rate in ("100", "0.02")
    )

    assert "values)" in enough
    assert "times stable's" in enough
    assert "Underpowered" not in enough
    assert "Underpowered: check revenue needs about" in few
    assert "candidate values at the last weight" in few


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--variation", "0"], "--variation 0: '0' must be a number from 0.000001 to 1000000, such as 1.3."),
        (["--variation", "inf"], "must be a number from 0.000001 to 1000000, such as 1.3."),
        (["--variation", "errors=1"], "--variation errors=1: the spec has no check 'errors', but revenue."),
        (["--variation", "drift=1"], "the spec has no check 'drift', but revenue."),
        (["--baseline", "revenue=0.1"], "--baseline revenue=0.1: the spec has no check 'revenue', but errors."),
        (["--rate", "drift=1"], "the spec has no check 'drift', but errors, revenue."),
    ],
)
def test_a_number_that_a_check_has_no_use_for_is_refused(tmp_path: Path, argv: list[str], said: str) -> None:
    spec = with_checks(tmp_path, ERRORS, REVENUE, DRIFT)

    result = planned(spec, "--rate", "100", "--baseline", "0.01", *argv)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_the_command_of_the_how_to_plans_values_as_it_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(with_checks(tmp_path, ERRORS, REVENUE)).rename(tmp_path / "shop.yaml")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "how-to" / "plan-a-release.md").read_text()
    (command,) = re.findall(r"```console\n(assay plan --spec shop.yaml .*)\n```", page)

    result = CliRunner().invoke(main, shlex.split(command)[1:])

    assert result.exit_code == 0, result.output
    assert "revenue" in result.stdout


@pytest.mark.parametrize("rate", ["1e-300", "1e300"])
@pytest.mark.parametrize("variation", ["1e-6", "1e6"])
def test_any_traffic_and_any_variation_can_be_planned(tmp_path: Path, rate: str, variation: str) -> None:
    result = planned(with_checks(tmp_path, REVENUE), "--rate", rate, "--variation", variation)

    assert result.exit_code == 0, result.output


def test_a_rate_of_one_check_is_none_of_the_others(tmp_path: Path) -> None:
    spec = with_checks(tmp_path, ERRORS, REVENUE)

    result = planned(spec, "--rate", "errors=100", "--baseline", "0.01", "--variation", "1")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--rate is needed for revenue too." in result.stderr
    assert planned(spec, "--rate", "errors=100", "--baseline", "0.01").exit_code == 0


def test_help_shows_each_example_on_a_line_of_its_own() -> None:
    lines = CliRunner().invoke(main, ["plan", "--help"]).stdout.splitlines()

    assert "  assay plan --spec modeldeployment.yaml --rate 100 --baseline 0.01" in lines


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--rate", "0", "--baseline", "0.01"], "--rate 0: '0' must be a finite number above 0."),
        (["--rate", "x", "--baseline", "0.01"], "--rate x: 'x' must be a finite number above 0."),
        (["--rate", "nan", "--baseline", "0.01"], "--rate nan: 'nan' must be a finite number above 0."),
        (["--rate", "inf", "--baseline", "0.01"], "--rate inf: 'inf' must be a finite number above 0."),
        (["--rate", "1", "--baseline", "1%"], "--baseline 1%: '1%' must be a share from 0 to below 1, such as 0.01."),
        (["--rate", "1", "--baseline", "nan"], "must be a share from 0 to below 1"),
        (["--rate", "1", "--baseline", "recall=0.1"], "the spec has no check 'recall', but errors."),
        (["--rate", "1"], "--baseline is needed for errors too."),
        (["--rate", "1", "--baseline", "1"], "'1' must be a share from 0 to below 1"),
    ],
)
def test_what_cannot_be_planned_ends_with_a_sentence_and_exit_code_2(argv: list[str], said: str) -> None:
    result = plan(*argv)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
