"""`baton key`: a key for the client, and the line for the file."""

from pathlib import Path

import pytest

from baton import main
from serving.access.keys import ApiKeys


def test_a_key_is_made_with_the_line_that_the_file_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["key", "alice", "--rate", "2.5", "--concurrency", "3"]) == 0
    said = capsys.readouterr()
    key = said.err.split()[-1]
    assert key not in said.out
    (tmp_path / "keys").write_text(said.out)
    client = ApiKeys(tmp_path / "keys").identify({b"x-api-key": key.encode()})
    assert (client.name, client.limits) == ("alice", (2.5, 3))


def test_a_name_that_the_file_does_not_take_makes_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "two words"]) == 2
    said = capsys.readouterr()
    assert (said.out, "baton key: name: expected" in said.err) == ("", True)
