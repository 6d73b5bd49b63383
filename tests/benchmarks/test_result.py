"""A result is written as JSON and shown as tables, without the folders of this machine."""

import sys
from pathlib import Path

import pytest

from benchmarks.result import Claim, Curve, Grid, Plot, Result, markdown, parser, shown, write
from serving.bench.figures import Interval, interval

ROWS = [("one", "1"), ("two", "2")]
CLAIM = Claim(text="x", expected="at least 1", actual="0.9", kept=False)


def test_a_median_is_shown_with_its_interval_if_it_has_one() -> None:
    assert shown(Interval(median=1.0)) == "1.00"
    assert shown(Interval(median=1.0, low=0.5, high=2.0), "{:.1f}") == "1.0 (0.5–2.0)"


def test_a_result_comes_back_from_its_file_and_its_command_names_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["benchmarks/soak.py", "--out", str(tmp_path / "x.json"), "--models", "models"]
    )
    assert write(tmp_path / "x.json", ("name", "value"), ROWS, [CLAIM], ["A note."]) == 1
    result = Result.model_validate_json((tmp_path / "x.json").read_text())
    assert result.command == "python -m benchmarks.soak --out x.json --models models"
    assert capsys.readouterr().out == markdown(result) + "\n"


def test_the_tables_have_every_row_and_promise(tmp_path: Path) -> None:
    curve = Curve(panel="p50, ms", label="a", x=(1.0,), y=(interval([1.0]),))
    write(tmp_path / "x.json", ("name", "value"), ROWS, [CLAIM], ["A note."], Plot(x="load", curves=(curve,)))
    text = markdown(Result.model_validate_json((tmp_path / "x.json").read_text()))
    assert "| name | value |\n|---|--:|\n| one | 1 |\n| two | 2 |" in text
    assert (
        "| promise | expected | actual | kept |\n|---|--:|--:|--:|\n| x | at least 1 | 0.9 | **no** |" in text
    )
    assert text.endswith("\n\nA note.\n\n![p50, ms](results/x.png)")


def test_a_result_whose_promises_are_kept_ends_with_status_0(tmp_path: Path) -> None:
    kept = CLAIM.model_copy(update={"kept": True})
    assert write(tmp_path / "x.json", ("name",), [], [kept]) == 0


def test_a_result_lies_in_the_folder_of_results_unless_it_is_told_where() -> None:
    assert parser("x", "").parse_args([]).out.parts[-2:] == ("results", "x.json")


def test_cases_are_shown_as_a_picture_with_their_table_folded(tmp_path: Path) -> None:
    grid = Grid(rows=("wire", "folder"), columns={"this build": (True, True), "old": (False, True)})
    rows = [("1. wire: a", "yes", "**failed:** none"), ("2. folder: b", "yes", "yes")]
    write(tmp_path / "x.json", ("case", "this build", "old"), rows, [], grid=grid)
    text = markdown(Result.model_validate_json((tmp_path / "x.json").read_text()))
    picture, _, table = text.partition("\n\n<details><summary>")
    assert picture.endswith("![2 cases in 2 areas: held or failed](results/x.png)")
    assert "| case | this build | old |\n|---|---|---|\n| 1. wire: a | yes | **failed:** none |" in table
    assert table.endswith("\n\n</details>")
