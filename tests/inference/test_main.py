"""`baton inspect` and `baton predict`, from their command line."""

import json
from pathlib import Path

import pytest

from inference.__main__ import main
from tests.bundles import MODELS

BUNDLE = MODELS / "reviews" / "2"


def test_inspect_prints_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(BUNDLE)]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "reviews"


def test_a_text_in_a_file_is_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("Dull, badly acted, and a waste of two hours.")
    assert main(["predict", str(BUNDLE), str(tmp_path / "a.txt")]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["file"], answer["label"]) == (str(tmp_path / "a.txt"), "negative")


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(BUNDLE), str(tmp_path / "a.txt")]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path / 'a.txt'}: got No such file or directory: a.txt")
    assert said.endswith(", expected a file that can be read\n")
