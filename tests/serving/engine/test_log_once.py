"""A log that says of each entry only what it did not say last."""

import logging

import pytest

from serving.engine.log_once import LogOnce

LOG = logging.getLogger("baton.test_log_once")


def test_a_message_is_said_once_until_another_comes_or_its_key_is_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    once = LogOnce(LOG)
    for message in ("bad", "bad", "worse", "bad"):
        once.say(("m", 1), logging.ERROR, message)
    once.say(("m", 2), logging.ERROR, "bad")
    assert caplog.messages == ["bad", "worse", "bad", "bad"]
    assert ("m", 1) in once
    assert once.forget(("m", 1))
    assert not once.forget(("m", 1))
    once.say(("m", 1), logging.ERROR, "bad")
    assert len(caplog.messages) == 5


def test_a_message_is_one_line_whatever_a_file_is_called(caplog: pytest.LogCaptureFixture) -> None:
    LogOnce(LOG).say("folder", logging.WARNING, "not served: a\nb")
    (message,) = caplog.messages
    assert "\n" not in message


def test_a_traceback_is_that_of_the_exception_under_way(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("a bug")
    except ValueError:
        LogOnce(LOG).say("m", logging.ERROR, "failed", traceback=True)
    assert "ValueError: a bug" in caplog.text
