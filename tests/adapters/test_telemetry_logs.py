"""Logs: one line each, fields that machines can read, and no secrets."""

from __future__ import annotations

import io
import json
import logging
import os

import pytest

from reconciler.telemetry import LogFormat, configure_logging


@pytest.fixture(autouse=True)
def logger_as_before():
    logger = logging.getLogger("reconciler")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def logged(format_, message, level=logging.INFO, **fields):
    stream = io.StringIO()
    configure_logging(format=format_, stream=stream, level="DEBUG")
    logging.getLogger("reconciler.example").log(level, message, extra=fields)
    return stream.getvalue()


def test_a_line_for_a_person_has_message_and_fields():
    line = logged(LogFormat.TEXT, "started", sweep="mnist", tasks=3, note="two words", empty="")

    assert 'INFO    started sweep=mnist tasks=3 note="two words" empty=""\n' == line[9:]


def test_a_line_for_a_machine_is_json():
    line = json.loads(logged(LogFormat.JSON, "started", logging.WARNING, sweep="mnist", tasks=3, share=0.5, end=None))

    assert line.pop("ts").endswith("Z")
    assert {
        "level": "warning",
        "logger": "reconciler.example",
        "msg": "started",
        "sweep": "mnist",
        "tasks": 3,
        "share": 0.5,
        "end": None,
    } == line


@pytest.mark.parametrize("format_", list(LogFormat))
def test_secrets_are_taken_out(format_):
    line = logged(
        format_,
        "fetch of https://me:hunter2@host/x failed",
        url="ssh://me:hunter2@host/x",
        api_token="hunter2",
        detail="password=hunter2",
    )

    assert "hunter2" not in line


@pytest.mark.parametrize("format_", list(LogFormat))
def test_a_line_stays_one_line_whatever_is_logged(format_):
    line = logged(format_, "a\nb\x1b[31m", field="c\nd\x1b[31m")

    assert 1 == line.count("\n")
    assert "\x1b" not in line


@pytest.mark.parametrize("format_", list(LogFormat))
def test_an_exception_is_told_without_secrets(format_):
    stream = io.StringIO()
    configure_logging(format=format_, stream=stream)
    try:
        raise ValueError("token=hunter2")
    except ValueError:
        logging.getLogger("reconciler").exception("it failed")

    assert "ValueError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
    assert 1 == stream.getvalue().count("\n")


def test_a_field_cannot_pretend_to_be_the_level():
    assert "info" == json.loads(logged(LogFormat.JSON, "x", level_="fine", logger="other"))["level"]


def test_configuring_again_replaces_the_earlier_configuration():
    first, second = io.StringIO(), io.StringIO()
    configure_logging(format=LogFormat.TEXT, stream=first)
    configure_logging(format=LogFormat.TEXT, stream=second)

    logging.getLogger("reconciler").info("x")

    assert ("", 1) == (first.getvalue(), second.getvalue().count("\n"))


def test_levels_below_the_chosen_one_are_not_told():
    stream = io.StringIO()
    configure_logging(format=LogFormat.TEXT, stream=stream, level="WARNING")

    logging.getLogger("reconciler").info("x")

    assert "" == stream.getvalue()


def test_each_line_is_counted_by_level():
    levels: list[str] = []
    configure_logging(format=LogFormat.TEXT, stream=io.StringIO(), counted=levels.append)

    logging.getLogger("reconciler").info("x")
    logging.getLogger("reconciler").error("y")

    assert ["info", "error"] == levels


def test_under_journald_each_line_carries_its_severity(tmp_path, monkeypatch):
    with (tmp_path / "journal").open("w+") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        configure_logging(format=LogFormat.TEXT, stream=stream)
        logging.getLogger("reconciler").error("x")
        stream.seek(0)

        assert stream.read().startswith("<3>")
