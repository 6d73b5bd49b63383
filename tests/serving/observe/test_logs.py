"""The process's log: a line of text for people, or a JSON object a line for machines."""

import json
import logging
import sys

import pytest

from serving.observe.logs import JsonFormatter, TextFormatter, set_up_logging


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


# A line break, the next line of NEL and of U+2028, an escape sequence, its one-byte form, a bell, a mark that turns
# the direction of writing, one that nobody sees, and half a pair.
HOSTILE = "a\r\nb\x85c\u2028d\x1b[2Je\x9b1mf\x07g\u202eh\u200bi\ud800"


def test_a_client_cannot_begin_a_line_of_text_nor_steer_a_terminal() -> None:
    text = TextFormatter("worker 2").format(record("refused: %s", HOSTILE))
    assert text.isprintable()
    expected = "refused: a\\r\\nb\\x85c\\u2028d\\x1b[2Je\\x9b1mf\\x07g\\u202eh\\u200bi\\ud800"
    assert text.endswith(f" WARNING worker 2: baton: {expected}")


def test_a_message_of_an_exception_stands_behind_the_margin() -> None:
    try:
        raise ValueError(f"two\n2026-01-01 00:00:00,000 INFO baton: forged{HOSTILE}")
    except ValueError:
        made = logging.LogRecord("baton", logging.ERROR, "", 0, "it failed", (), sys.exc_info())
    first, *rest = TextFormatter().format(made).split("\n")
    assert first.endswith(" ERROR baton: it failed")
    assert rest[0] == "  Traceback (most recent call last):"
    assert any("forged" in line for line in rest)
    assert all(line.startswith("  ") and line.isprintable() for line in rest)


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("ü — 日本語 🎉", 'a "quote" \\ back'):
        assert TextFormatter().format(record("%s", text)).endswith(f": {text}")
        assert text.replace("\\", "\\\\").replace('"', '\\"') in JsonFormatter().format(record("%s", text))


def test_a_line_of_json_is_one_for_every_reader() -> None:
    text = JsonFormatter({"process": HOSTILE}).format(record("%s", HOSTILE, facts={HOSTILE: HOSTILE}))
    assert text.isprintable()
    line = json.loads(text)
    assert (line["message"], line["process"], line[HOSTILE]) == (HOSTILE, HOSTILE, HOSTILE)
    assert "\\U" not in JsonFormatter().format(record("%s", "\U000e0001"))
