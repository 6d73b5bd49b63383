"""The process's log: a line of text for people, or a JSON object a line for machines."""

import json
import logging
import sys

import pytest

from serving.observe.logs import JsonFormatter, set_up_logging


def record(message: str = "it %s", *values: object, **facts: object) -> logging.LogRecord:
    made = logging.LogRecord("baton", logging.WARNING, "", 0, message, values, None)
    made.__dict__.update(facts)
    return made


def test_an_exception_stays_one_line_of_json() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("baton", logging.ERROR, "", 0, "it %s", ("failed",), sys.exc_info())
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["message"]) == ("error", "it failed")
    assert line["error"].endswith("ValueError: two\nlines")


def test_facts_of_the_process_and_of_the_line_stand_beside_the_message() -> None:
    line = json.loads(JsonFormatter({"process": "worker 2"}).format(record("ü %s", 1, facts={"status": 429})))
    assert (line["level"], line["logger"], line["message"]) == ("warning", "baton", "ü 1")
    assert (line["process"], line["status"]) == ("worker 2", 429)
    assert line["time"].endswith("+00:00")
    assert "error" not in line


@pytest.mark.parametrize(("style", "begins"), [("text", ""), ("json", "{")])
def test_a_log_is_written_on_standard_error_and_names_its_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], style: str, begins: str
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])  # those of these tests
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    set_up_logging("warning", style, "worker 2")
    logging.getLogger("baton").info("too little")
    logging.getLogger("baton").warning("enough")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(begins)
    assert "worker 2" in line
    assert "enough" in line
