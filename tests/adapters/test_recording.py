"""Recorded counters are read as they were written, or refused in a sentence that names the line."""

from pathlib import Path

import pytest

from assay.adapters import recording
from assay.api.checks import Check, CheckPreset
from assay.api.modeldeployment import ModelDeployment
from assay.core.errors import InvalidSpec
from assay.core.replay import Decision, Judged, replay
from core.simulation import a_spec

CHECKS = [Check(name="errors", preset=CheckPreset.ERROR_RATIO)]
HEAD = "time,check,role,series,value"
RIGHT = [
    "0,errors,stable,total,100",
    "0,errors,stable,bad,1",
    "0,errors,candidate,total,10",
    "0,errors,candidate,bad,0",
]


def written(folder: Path, *rows: str, head: str = HEAD) -> Path:
    path = folder / "looks.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_series_come_with_their_revision_and_their_instance_and_good_with_bad_makes_a_total(tmp_path: Path) -> None:
    rows = [
        "1,7,errors,stable,a,good,90,5",
        "1,7,errors,stable,a,bad,10,5",
        "1,7,errors,candidate,b,total,8,",
        "1,7,errors,candidate,b,good,6,",
    ]
    path = written(tmp_path, *rows, head="run,time,check,role,instance,series,value,weight")

    events = recording.read(path, CHECKS)["1"]["errors"]

    assert [(one.labels["assay_revision"], one.labels["pod"], one.samples) for one in events.series[0]] == [
        ("stable", "a", ((7.0, 10.0),)),
        ("candidate", "b", ((7.0, 2.0),)),
    ]
    assert [one.samples for one in events.series[1]] == [((7.0, 100.0),), ((7.0, 8.0),)]


def test_runs_keep_the_order_in_which_they_are_met_and_may_be_interleaved(tmp_path: Path) -> None:
    rows = [
        f"{run},{time},errors,{role},{series},5"
        for time in (0, 1)
        for run in ("b", "a")
        for role in ("stable", "candidate")
        for series in ("total", "bad")
    ]
    path = written(tmp_path, *rows, head=f"run,{HEAD}")

    found = recording.read(path, CHECKS)

    assert list(found) == ["b", "a"]
    assert found["a"]["errors"].series[0][0].samples == ((0.0, 5.0), (1.0, 5.0))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["x,errors,stable,total,1"], "Line 2: time is 'x': must be a number from 0"),
        (["0,errors,stable,total,nan"], "Line 2: value is 'nan': must be a number from 0"),
        (["0,errors,stable,total,inf"], "Line 2: value is 'inf'"),
        (["0,errors,stable,total,-1"], "Line 2: value is '-1'"),
        (["0,errors,stable,total,1e17"], "Line 2: value is '1e17'"),
        (["1e12,errors,stable,total,1"], "Line 2: time is '1e12'"),
        (["0,recall,stable,total,1"], "Line 2: check 'recall' is none of the spec's, which are errors"),
        (["0,errors,canary,total,1"], "Line 2: role 'canary' must be stable or candidate"),
        (["0,errors,stable,count,1"], "Line 2: series 'count' of check errors must be one of total, bad, good"),
        (["0,errors,stable,total,0.5"], "Line 2: value is '0.5': a counter of events must be a whole number"),
        (["0,errors,stable,total,1", "1,errors,stable,bad,1"], "At no time both bad and total are known (run 1, errors, stable)."),
        (["0,errors,stable,total"], "Line 2: there are 4 fields, but 5 columns"),
        (["9,errors,stable,total,1", "9,errors,stable,total,1"], "Line 3: time 9 does not come after 9, at which total of errors, stable was last read"),
        (["9,errors,stable,total,1", "8,errors,stable,total,1"], "Line 3: time 8 does not come after 9"),
        (RIGHT[1:], "There is bad (run 1, errors, stable): two of total, bad, good are needed"),
        (["0,errors,stable,total,1", "0,errors,stable,good,2", *RIGHT[2:]], "At time 0 (run 1, errors, stable) good is greater than total"),
        (["0,errors,stable,total,1", "0,errors,stable,bad,2", *RIGHT[2:]], "At time 0 (run 1, errors, stable) bad is greater than total"),
        (["0,errors,stable,total,9", "0,errors,stable,bad,2", "0,errors,stable,good,6", *RIGHT[2:]], "At time 0 (run 1, errors, stable) total is not bad plus good"),
        (["0,errors,stable,total,1_000"], "Line 2: value is '1_000': must be a number from 0"),
        (["0,errors,stable,total,\u0665"], "Line 2: value is '\u0665': must be a number from 0"),
        ([], "has no sample of check errors, which the spec has"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused_in_a_sentence(tmp_path: Path, rows: list[str], said: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        recording.read(written(tmp_path, *rows), CHECKS)

    assert said in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("time,check,role,series", "Line 1: the head lacks value"),
        (f"{HEAD},pod", "Line 1: the head has the unknown column 'pod'"),
        (f"{HEAD},value", "Line 1: the head must have each of its columns once"),
        ("", "Line 1: the head lacks time, check"),
    ],
)
def test_a_head_that_is_wrong_is_refused_in_a_sentence(tmp_path: Path, head: str, said: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        recording.read(written(tmp_path, head=head), CHECKS)

    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe\x00", "is no text in UTF-8"), (b"time\x00,check", ""), (b"", "Line 1: the head lacks"),
     (HEAD.encode() + b'\n"' + b"x" * 200_000, "is no CSV file")],
)  # fmt: skip
def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "looks.csv"
    path.write_bytes(content)

    with pytest.raises(InvalidSpec) as refused:
        recording.read(path, CHECKS)

    assert said in str(refused.value)


def test_a_file_that_is_not_there_and_one_that_is_too_long_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidSpec, match="cannot be read: No such file"):
        recording.read(tmp_path / "none.csv", CHECKS)
    monkeypatch.setattr(recording, "MOST_ROWS", 3)
    with pytest.raises(InvalidSpec, match="Line 5: there are more than 3 rows; split the file by run"):
        recording.read(written(tmp_path, *RIGHT), CHECKS)


SLOW = [Check(name="slow", preset=CheckPreset.LATENCY, slower_than_seconds="0.3")]


def test_of_a_histogram_the_bucket_nearest_to_the_wanted_bound_parts_quick_from_slow(tmp_path: Path) -> None:
    buckets = {"le=0.1": 10, "le=0.25": 70, "le=1": 90, "le=+Inf": 100}
    rows = [f"{time},slow,{role},{series},{value * (1 + time)}" for time in (0, 1) for role in ("stable", "candidate")
            for series, value in buckets.items()]  # fmt: skip

    events = recording.read(written(tmp_path, *rows), SLOW)["1"]["slow"]

    assert [one.samples for one in events.series[0]] == [((0.0, 30.0), (1.0, 60.0))] * 2
    assert [one.samples for one in events.series[1]] == [((0.0, 100.0), (1.0, 200.0))] * 2


@pytest.mark.parametrize(
    ("series", "said"),
    [
        ("le=x", "Line 2: series 'le=x' of check slow must be one of total, bad, good, or a bucket such as le=0.25"),
        ("le=-1", "Line 2: series 'le=-1'"),
        ("le=nan", "Line 2: series 'le=nan'"),
        ("le=+Inf", "There is total (run 1, slow, stable): two of total, bad, good are needed"),
    ],
)
def test_a_bucket_that_is_none_is_refused_in_a_sentence(tmp_path: Path, series: str, said: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        recording.read(written(tmp_path, f"0,slow,stable,{series},1"), SLOW)

    assert said in str(refused.value)


P95 = [Check(name="slow", preset=CheckPreset.LATENCY, quantile="0.95")]


def test_of_a_quantile_all_buckets_count_that_every_instance_has(tmp_path: Path) -> None:
    stable = [f"{time},slow,stable,{le},{value * (1 + time)}" for time in (0, 1)
              for le, value in {"le=0.1": 10, "le=0.25": 70, "le=+Inf": 100}.items()]  # fmt: skip
    candidate = [f"0,slow,candidate,{le},{value}" for le, value in {"le=0.1": 1, "total": 4}.items()]

    events = recording.read(written(tmp_path, *stable, *candidate), P95)["1"]["slow"]

    assert events.bounds == (0.1,)
    assert [[one.samples for one in kind] for kind in events.series] == [
        [((0.0, 10.0), (1.0, 20.0)), ((0.0, 1.0),)],
        [((0.0, 100.0), (1.0, 200.0)), ((0.0, 4.0),)],
    ]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["0,slow,stable,bad,1"], "Check slow compares a histogram: bad of slow, stable is no bucket."),
        (
            ["0,slow,stable,le=1,1"],
            "le=+Inf and at least one bucket must be recorded of every instance; those of all are le=1",
        ),
        (["0,slow,stable,le=1,1", "0,slow,stable,le=+Inf,1", "0,slow,candidate,le=+Inf,1"], "those of all are le=+Inf"),
        (
            ["0,slow,stable,le=1,1", "0,slow,stable,le=+Inf,1", "0,slow,stable,total,1"],
            "was recorded under another name too",
        ),
        (
            ["0,slow,stable,le=1,1", "0,slow,stable,le=1.0,1", "0,slow,stable,le=+Inf,1"],
            "was recorded under another name too",
        ),
        (
            ["0,slow,stable,le=1,1", "1,slow,stable,le=+Inf,1"],
            "At no time all buckets are known (run 1, slow, stable).",
        ),
        (
            ["0,slow,stable,le=1,5", "0,slow,stable,le=+Inf,1"],
            "At time 0 (run 1, slow, stable) a bucket counts more than one",
        ),
    ],
)
def test_a_histogram_that_cannot_be_compared_is_refused_in_a_sentence(
    tmp_path: Path, rows: list[str], said: str
) -> None:
    with pytest.raises(InvalidSpec) as refused:
        recording.read(written(tmp_path, *rows), P95)

    assert said in str(refused.value)


def judged(folder: Path, rows: list[str]) -> Judged:
    """The last look at rows in which every look has 300 and 2,700 requests."""
    checks = [{"name": "errors", "preset": "error-ratio"}]
    spec = a_spec(analysis__checks=checks, analysis__warmupSeconds=0, analysis__dispersion="1")
    parsed = ModelDeployment.model_validate({"metadata": {"name": "flights"}, "spec": spec}).spec
    tape = recording.read(written(folder, *rows, head="time,check,role,instance,series,value"), parsed.analysis.checks)
    return list(replay(parsed, tape["1"]))[-1]


def counters(*, together: bool, candidate: float = 9, looks: int = 20, kind: str = "bad") -> list[str]:
    """Stable has a long life behind it; instances export one revision each, or one of them both."""
    rows = []
    for look in range(looks):
        for role, size, bad, life in (("stable", 2700, 27, 1_000_000), ("candidate", 300, candidate, 0)):
            total, failed = life + size * look, life / 10 + bad * look
            name = "router" if together else role
            value = failed if kind == "bad" else total - failed
            rows += [
                f"{30 * look},errors,{role},{name},total,{total}",
                f"{30 * look},errors,{role},{name},{kind},{value}",
            ]
    return rows


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("kind", ["bad", "good"])
@pytest.mark.parametrize("lost", [0, 30, 60])
@pytest.mark.parametrize("role", ["stable", "candidate"])
@pytest.mark.parametrize("series", ["total", "other", "both"])
def test_a_row_that_is_missing_is_a_scrape_that_was_lost(  # noqa: PLR0913, PLR0917
    tmp_path: Path,
    together: bool,  # noqa: FBT001
    kind: str,
    lost: int,
    role: str,
    series: str,
) -> None:
    rows = counters(together=together, kind=kind)
    gone = {"total": ("total",), "other": (kind,), "both": ("total", kind)}[series]
    kept = [row for row in rows if not (row.startswith(f"{lost},errors,{role},") and row.split(",")[4] in gone)]

    whole, holed = (judged(tmp_path, each) for each in (rows, kept))

    assert whole.decision is Decision.ROLLBACK
    assert holed.decision is Decision.ROLLBACK
    totals = holed.checks[0].totals
    assert totals[1] / totals[0] == pytest.approx(0.03)
    assert totals[3] / totals[2] == pytest.approx(0.01)
    looks = holed.time / 30
    assert totals[0] <= 300 * looks, "nothing is counted twice"
    assert totals[2] <= 2700 * looks


def test_good_and_total_that_were_never_read_at_once_are_refused(tmp_path: Path) -> None:
    rows = [row.replace(",total,", ",total,") if ",total," in row else f"{int(row.split(',')[0]) + 1},{row.split(',', 1)[1]}"
            for row in counters(together=False, kind="good")]  # fmt: skip

    with pytest.raises(InvalidSpec, match="At no time both total and good are known"):
        judged(tmp_path, rows)


def test_a_bucket_that_is_far_from_what_is_wanted_or_not_everybodys_is_refused(tmp_path: Path) -> None:
    far = [f"0,slow,{role},{series},1" for role in ("stable", "candidate") for series in ("le=0.005", "le=+Inf")]
    mixed = [
        "0,slow,stable,le=0.3,1",
        "0,slow,stable,le=+Inf,1",
        "0,slow,candidate,le=0.25,1",
        "0,slow,candidate,le=+Inf,1",
    ]

    for rows, told in ((far, "those of all are le=0.005"), (mixed, "those of all are none")):
        with pytest.raises(InvalidSpec, match=f"no bucket within 30% of it was recorded of every instance; {told}"):
            recording.read(written(tmp_path, *rows), SLOW)


def test_coverage_by_class_cannot_be_replayed_from_a_file_without_classes(tmp_path: Path) -> None:
    check = Check.model_validate({"name": "slow", "preset": "accuracy", "labelDelaySeconds": 60, "classCoverage": {"a": "0.5", "b": "0.9"}})  # fmt: skip
    with pytest.raises(InvalidSpec, match="classCoverage needs counts by class, which a file does not have"):
        recording.read(written(tmp_path, "0,slow,stable,total,1", "0,slow,stable,bad,0"), [check])
