"""The fault matrix: its short cases hold, and a case that does not hold is told."""

from pathlib import Path

import pytest

from benchmarks.faults.__main__ import run
from benchmarks.faults.bench import ROOT, Bench
from benchmarks.faults.cases import areas
from benchmarks.faults.matrix import CASES, Case, Unexpected

areas()

SHORT = [each for each in CASES if each.short]


@pytest.mark.slow
@pytest.mark.parametrize("case", SHORT, ids=lambda case: f"{case.area}.{case.name}")
def test_a_short_case_holds(case: Case) -> None:
    held, seen = run(case, ROOT)
    assert held, f"{case.done}: expected {case.expected}, {seen}"


def test_a_case_that_does_not_hold_is_told(tmp_path: Path) -> None:
    def unexpected(bench: Bench) -> str:
        raise Unexpected("a | pipe\nand a line")

    def broken(bench: Bench) -> str:
        raise ZeroDivisionError("by nothing")

    assert run(Case("area", "name", "", "", unexpected, short=True), tmp_path) == (
        False,
        "a / pipe and a line",
    )
    assert run(Case("area", "name", "", "", broken, short=True), tmp_path) == (
        False,
        "ZeroDivisionError: by nothing",
    )


def test_names_are_unique() -> None:
    names = [(case.area, case.name) for case in CASES]
    assert len(set(names)) == len(names)
