"""The ends of the declared ranges: what is chosen, and that the tests run with exactly that."""

from pathlib import Path

import pytest

from scripts import ranges
from scripts.lock import ENVIRONMENTS
from scripts.ranges import ENDS, TESTS, commands, main


@pytest.mark.parametrize("end", ENDS)
def test_the_tests_run_with_what_was_chosen(end: str, tmp_path: Path) -> None:
    choose, make, install, tools, test = commands(end, "uv", tmp_path, ["-x"])
    chosen = str(tmp_path / "chosen.txt")
    assert choose[choose.index("--resolution") + 1] == ENDS[end]
    assert choose[-2:] == ["-o", chosen]
    assert {choose[at + 1] for at, part in enumerate(choose) if part == "--extra"} == {
        *ENVIRONMENTS["serving"][0]
    }
    assert make[-1] == str(tmp_path / "env")
    assert install[-2:] == ["-r", chosen]
    assert tools[tools.index("-c") + 1] == chosen
    assert test[0].startswith(make[-1])
    assert test[-3:] == [*TESTS, "-x"]


def test_without_uv_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ranges, "find_uv", lambda: None)
    assert main(["lowest"]) == 2
    assert "uv: not found" in capsys.readouterr().err
