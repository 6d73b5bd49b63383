"""Refusals are all counted, and logged as far as the log can bear it."""

import logging

import pytest

from serving.access.refusals import Refusals


def test_a_flood_of_refusals_is_counted_and_gets_a_few_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("serving.access.refusals.time.monotonic", lambda: now)
    noted = Refusals()
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            noted.note("key", "API key: missing", "192.0.2.1")
        now += 1.0
        noted.note("admin", "admin token: missing", "")
    noted.count("limit")
    assert (noted.counts["key"], noted.counts["admin"], noted.counts["limit"]) == (1000, 1, 1)
    lines = [record.message for record in caplog.records]
    assert len(lines) == 6
    assert lines[0] == "refused 192.0.2.1: API key: missing"
    said = "refused a client without an address: admin token: missing; 995 refusals before it have no line"
    assert lines[-1] == said
