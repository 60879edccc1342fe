"""`assay replay` says what would have been decided, or in one sentence why it cannot say."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from assay.app.cli import main

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "replay"
SPEC, SAMPLES = EXAMPLE / "modeldeployment.yaml", EXAMPLE / "looks.csv"


def replay(*argv: str, spec: Path = SPEC, samples: Path = SAMPLES) -> Result:
    return CliRunner().invoke(main, ["replay", "--spec", str(spec), "--samples", str(samples), *argv])


def runs(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["runs"]
    return found


def test_each_run_has_its_looks_and_its_decision_with_its_time() -> None:
    healthy, incident = runs(replay("--output", "json"))

    assert (healthy["run"], healthy["decision"], incident["run"]) == ("healthy", "Promote", "incident")
    assert (incident["decision"], incident["check"]) == ("Rollback", "errors")
    last = incident["looks"][-1]
    assert incident["time"] == last["time"]
    assert (last["checks"][0]["verdict"], last["checks"][0]["harm"]) == ("Fail", 1.0)
    assert {one["checks"][0]["verdict"] for one in incident["looks"][:-1]} == {"Undecided"}
    assert [one["time"] for one in incident["looks"]] == sorted(one["time"] for one in incident["looks"])


def test_warm_up_counts_nothing() -> None:
    (first, *_), _ = (run["looks"] for run in runs(replay("--output", "json")))
    candidate_came, warm = 600.0, 630.0 + 60.0

    looks = {one["time"]: one["checks"][0] for one in runs(replay("--output", "json"))[0]["looks"]}

    assert first["time"] == candidate_came - 30
    assert next(time for time, check in looks.items() if "candidateTotal" in check) > warm


def test_many_processes_say_the_same_as_one(tmp_path: Path) -> None:
    head, *rows = SAMPLES.read_text().splitlines()
    many = [row.replace(",", f"-{copy},", 1) for copy in range(6) for row in rows]
    (tmp_path / "many.csv").write_text("\n".join([head, *many]))

    one, two = (runs(replay("-o", "json", "--workers", str(count), samples=tmp_path / "many.csv")) for count in (1, 2))

    assert len(one) == 12
    assert one == two


def test_the_commands_of_the_how_to_run_as_they_stand_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "docs" / "how-to" / "replay-a-recording.md").read_text()
    lines = re.findall(r"```console\n(.*?)```", text, re.DOTALL)[0].splitlines()
    table, machine, page = (CliRunner().invoke(main, shlex.split(line)[1:]) for line in lines)

    assert table.exit_code == 0
    assert all(word in table.stdout for word in ("healthy", "incident", "2 runs: Rollback 1 (50.00%)"))
    assert len(runs(machine)) == 2
    assert (page.stdout.count("<svg"), page.stdout.count('class="Rollback"')) == (2, 1)
    assert "<script" not in page.stdout


def test_a_mean_is_told_with_its_ratio_and_interval(tmp_path: Path) -> None:
    counters = {key: {"metric": "x"} for key in ("count", "sum", "sumOfSquares")}
    mean = json.dumps({"name": "revenue", "better": "Higher", "mean": counters})
    (tmp_path / "spec.yaml").write_text(SPEC.read_text().replace("{name: errors, preset: error-ratio}", mean))
    rows = [
        f"{30 * look},revenue,{role},{series},{look * number}"
        for look in range(12)
        for role, size in (("stable", 2.5), ("candidate", 1.5))
        for series, number in (("count", 100), ("sum", 100 * size), ("sumsq", 200 * size**2))
    ]
    (tmp_path / "looks.csv").write_text("\n".join(["time,check,role,series,value", *rows]))

    (run,) = runs(replay("-o", "json", spec=tmp_path / "spec.yaml", samples=tmp_path / "looks.csv"))

    last = run["looks"][-1]["checks"][0]
    assert (run["decision"], last["candidate"], last["stable"], last["effect"]) == ("Rollback", "1.5", "2.5", "0.6")
    assert re.fullmatch(r"0\.[45]\d* to 0\.[67]\d*", last["interval"])


def test_one_run_is_shown_look_by_look(tmp_path: Path) -> None:
    head, *rows = SAMPLES.read_text().splitlines()
    (tmp_path / "one.csv").write_text("\n".join([head, *(row for row in rows if row.startswith("incident"))]))

    shown = replay(samples=tmp_path / "one.csv").stdout

    assert re.search(r"840 .* Fail .* 100\.0%", shown)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "holds no ModelDeployments"),
        ("{", "is no YAML file: while parsing"),
        ("[" * 5000, "is no YAML file"),
        ("kind: ModelDeployment\n---\nkind: ModelDeployment\n", "holds 2 ModelDeployments"),
        ("kind: ModelDeployment", "metadata: Field required; spec: Field required"),
        ("x: 2026-13-45", "is no YAML file"),
        ("x: !!int abc", "is no YAML file"),
        ("x: !!bool foo", "is no YAML file"),
        (SPEC.read_text().replace('"0.01"', "2"), "spec.analysis.falseRollback: "),
        (SPEC.read_text().replace("falseRollback", "falseRolback"), "spec.analysis.falseRolback: there is no such field"),
        (SPEC.read_text().replace("v1alpha1", "v9"), "apiVersion is 'assay.dev/v9', and must be assay.dev/v1alpha1."),
        (re.sub("name: [a-z]+", "name: 7", SPEC.read_text(), count=1), "metadata.name must be a text"),
        (SPEC.read_text().replace("error-ratio", "recall"), "spec.analysis.checks[0].preset: "),
        (SPEC.read_text().replace("name: errors", "name: wrong"), "Line 2: check 'errors' is none of the spec's, which are wrong."),
    ],
)  # fmt: skip
def test_a_spec_that_judges_nothing_ends_with_a_sentence_and_exit_code_2(tmp_path: Path, spec: str, said: str) -> None:
    (tmp_path / "spec.yaml").write_text(spec)

    result = replay(spec=tmp_path / "spec.yaml")

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("interval", ["nan", "inf", "0.5"])
def test_an_interval_that_nobody_can_look_at_is_refused(interval: str) -> None:
    result = replay("--interval", interval)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--interval" in result.stderr
    assert "Traceback" not in result.stderr


def test_its_help_keeps_examples_apart() -> None:
    shown = CliRunner().invoke(main, ["replay", "--help"]).stdout

    assert "\\b" not in shown
    assert "\n  assay replay --spec modeldeployment.yaml --samples looks.csv\n" in shown


@pytest.mark.parametrize("missing", ["spec", "samples"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, missing: str) -> None:
    result = replay(**{missing: tmp_path / "none"})

    assert result.exit_code == 2
    assert f"{tmp_path}/none cannot be read: No such file or directory." in result.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "Give exactly one of --samples and --prometheus."),
        (["--prometheus", "x", "--start", "1", "--end", "1"], "--end must come after --start."),
        (["--prometheus", "x", "--start", "1", "--end", "2"], "The Prometheus URL must look like http"),
        (["--prometheus", "x", "--end", "2"], "--start is None: must be a time such as 2026-11-21T11:00:00Z."),
        (["--prometheus", "x", "--start", "nan", "--end", "2"], "--start is 'nan': must be a time such as"),
        (["--prometheus", "x", "--start", "now", "--end", "2"], "--start is 'now': must be a time such as"),
        (["--prometheus", "x", "--start", "2026-01-01T00:00:00", "--end", "2"], "must say its time zone"),
        (["--prometheus", "http://127.0.0.1:1", "--start", "1", "--end", "2"], "did not answer"),
        (
            ["--prometheus", "http://127.0.0.1:1", "--start", "1", "--end", "2", "--stable", "a"],
            "Give both of --stable and",
        ),
    ],
)
def test_a_past_that_cannot_be_asked_for_ends_with_a_sentence_and_exit_code_2(argv: list[str], said: str) -> None:
    result = CliRunner().invoke(main, ["replay", "--spec", str(SPEC), *argv])

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_runs_name_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(SAMPLES.read_text().replace("healthy,", "[/red],"))

    assert "[/red]" in replay(samples=tmp_path / "runs.csv").stdout


def test_instances_that_were_scraped_at_different_moments_are_looked_at_in_intervals(tmp_path: Path) -> None:
    head, *rows = SAMPLES.read_text().splitlines()
    jittered = [",".join([run, str(int(time) + 7 * (role == "candidate")), check, role, *rest])
                for run, time, check, role, *rest in (row.split(",") for row in rows)]  # fmt: skip
    (tmp_path / "jittered.csv").write_text("\n".join([head, *jittered]))

    healthy, incident = runs(replay("-o", "json", "--interval", "30", samples=tmp_path / "jittered.csv"))

    assert (healthy["decision"], incident["decision"]) == ("Promote", "Rollback")
