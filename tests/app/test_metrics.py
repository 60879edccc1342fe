"""The table of metrics and what is really exported are the same."""

from assay.app.metrics import METRICS, Instruments


def exercised() -> Instruments:
    instruments = Instruments()
    instruments.watch_queue(lambda: 2, lambda: 1.5, lambda: 7)
    instruments.round("ModelDeployment", "Saved", 0.02)
    instruments.decision("ModelDeployment", "Stable")
    instruments.api_call("get", "configmaps", "200")
    instruments.query("ok")
    instruments.event("ModelDeployment")
    return instruments


def test_every_metric_of_the_table_is_exported_with_its_type_and_help() -> None:
    page = exercised().page().decode()

    for row in METRICS:
        assert f"# TYPE {row.name} {row.type}" in page
        assert f"# HELP {row.name} {row.help}" in page


def test_every_metric_that_is_exported_is_in_the_table() -> None:
    page = exercised().page().decode()
    ours = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE assay_")}

    assert ours == {row.name for row in METRICS}


def test_labels_are_those_of_the_table() -> None:
    page = exercised().page().decode()

    for row in METRICS:
        sample = next(line for line in page.splitlines() if line.startswith(row.name))
        for label in row.labels:
            assert f'{label}="' in sample


def test_the_queue_is_read_when_somebody_scrapes() -> None:
    page = exercised().page().decode()

    assert "assay_operator_queue_depth 2.0" in page
    assert "assay_operator_queue_lag_seconds 1.5" in page
    assert "assay_operator_queue_keys 7.0" in page
