"""Every line names the object that it is about."""

import json
import logging

import pytest

from assay.app import logs

log = logging.getLogger("assay.test")


def test_a_text_line_has_the_time_the_level_and_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "info")
    with logs.about("ModelDeployment/shop/flights"):
        log.info("Entered stage %s", "Stable")
    log.warning("Started")

    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("Z INFO    ModelDeployment/shop/flights Entered stage Stable")
    assert second.endswith("Z WARNING - Started")


def test_a_json_line_has_the_same_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json", "info")
    with logs.about("a/b/c"):
        try:
            int("x\ny")
        except ValueError:
            log.exception("Met a bug")

    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["key"], entry["message"]) == ("error", "a/b/c", "Met a bug")
    assert "ValueError" in entry["exception"]


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "warning")
    log.info("Looked")
    logging.getLogger("kopf.objects").info("Chatted")

    assert capsys.readouterr().err == ""
