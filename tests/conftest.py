"""What every run of the tests shares: the order of files, and a report of slow tests that are not marked as such."""

from collections import defaultdict

import pytest

MARK_FROM_S = 2.0
"""Seconds, of setup and teardown too, from which a test is to be marked `slow`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that short ones fill up the end when files are shared among processes."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests to mark. It is a report and no failure, since a busy machine makes any test slow."""
    took = defaultdict[str, float](float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and "slow" not in report.keywords:
                took[report.nodeid] += report.duration
    found = {name: seconds for name, seconds in took.items() if seconds >= MARK_FROM_S}
    if found:
        terminalreporter.section(f"not marked slow, took {MARK_FROM_S:.0f} s or more")
        for name, seconds in sorted(found.items(), key=lambda each: -each[1]):
            terminalreporter.line(f"{seconds:6.1f}s {name}")
