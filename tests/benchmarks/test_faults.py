"""The fault matrix: its short cases hold, and a case that does not hold is told."""

from pathlib import Path
from threading import Barrier

import pytest

from benchmarks.faults.__main__ import Outcome, run, run_all, version_of
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


def test_cases_run_beside_one_another_but_for_those_that_stay_alone(tmp_path: Path) -> None:
    together = Barrier(2, timeout=30)

    def beside(bench: Bench) -> str:
        together.wait()  # broken unless the two are made at once
        return "beside"

    def alone(bench: Bench) -> str:
        assert together.n_waiting == 0
        return "alone"

    def fails(bench: Bench) -> str:
        raise Unexpected("no")

    cases = [
        Case("area", "first", "", "", beside, short=True),
        Case("area", "fine", "", "", alone, short=True, alone=True),
        Case("area", "second", "", "", beside, short=True),
        Case("area", "third", "", "", fails, short=True),
    ]
    seen = run_all(cases, tmp_path, jobs=2)
    assert seen == [
        Outcome(True, "beside"),
        Outcome(True, "alone"),
        Outcome(True, "beside"),
        Outcome(False, "no"),
    ]
    assert [str(each) for each in seen[2:]] == ["beside", "**failed:** no"]


def test_a_checkout_is_named_by_its_commit_and_any_other_folder_by_its_name(tmp_path: Path) -> None:
    assert version_of(tmp_path) == tmp_path.name
