"""`assay plan` tells before a rollout what it can find out, or in one sentence what it must know."""

import json
import re
import shlex
from pathlib import Path

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


def test_it_says_of_which_checks_nothing_can_be_foretold(tmp_path: Path) -> None:
    counters = {key: {"metric": "x"} for key in ("count", "sum", "sumOfSquares")}
    mean = json.dumps({"name": "revenue", "mean": counters})
    errors = "- {name: errors, preset: error-ratio}"
    (tmp_path / "spec.yaml").write_text(Path(SPEC).read_text().replace(errors, f"{errors}\n      - {mean}"))
    argv = ("--spec", str(tmp_path / "spec.yaml"), "--rate", "100", "--baseline", "0.01")

    shown, told = (CliRunner().invoke(main, ["plan", *argv, *more]).stdout for more in ((), ("-o", "json")))

    assert "Check revenue judges values: how long it takes depends on how much they differ" in " ".join(shown.split())
    assert json.loads(told)["unforeseen"] == ["revenue"]
    assert [one["check"] for one in json.loads(told)["checks"]] == ["errors"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--rate", "0", "--baseline", "0.01"], "0 is not in the range x>0"),
        (["--rate", "x", "--baseline", "0.01"], "'x' is not a valid float"),
        (["--rate", "nan", "--baseline", "0.01"], "--rate nan: must be a finite number above 0."),
        (["--rate", "inf", "--baseline", "0.01"], "--rate inf: must be a finite number above 0."),
        (["--rate", "1", "--baseline", "1%"], "--baseline 1%: '1%' must be a share from 0 to below 1, such as 0.01."),
        (["--rate", "1", "--baseline", "nan"], "must be a share from 0 to below 1"),
        (["--rate", "1", "--baseline", "recall=0.1"], "the spec has no check 'recall', but errors."),
        (["--rate", "1"], "Missing option '--baseline'"),
        (["--rate", "1", "--baseline", "1"], "'1' must be a share from 0 to below 1"),
    ],
)
def test_what_cannot_be_planned_ends_with_a_sentence_and_exit_code_2(argv: list[str], said: str) -> None:
    result = plan(*argv)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
