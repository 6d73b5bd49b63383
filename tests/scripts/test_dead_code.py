"""The finder of dead code finds the planted faults, and no others."""

import subprocess
from pathlib import Path

import pytest

from scripts.dead_code import main

ALIVE = '''"""What `house.room.Room` and `house.room.LIMIT` are; more in `docs/plan.md`."""

from torch import nn

from house.room import Room, shown

print(Room().door(), shown(), Room().read)


class Layer(nn.Module):
    def forward(self) -> int:
        return 1


print(Layer)
'''

ROOM = '''"""A room: `Room.door`, `Room.opened`, and `Room.read`."""

from typing import NamedTuple

LIMIT = 3


class Size(NamedTuple):
    width: int


class Room:
    def __init__(self) -> None:
        self.opened, self.read = Size(LIMIT), 1

    def door(self) -> Size:
        return self.opened


def shown() -> int:
    return LIMIT
'''

PLAN = "See [the room](../house/room.py), `house/room.py`, https://example.com/house/gone.py and house.example.org/a.\n"


def house(root: Path, **files: str) -> Path:
    """A repository with a package, a document and these files, which are added to those of the same name."""
    written = {"house/__init__.py": "", "house/main.py": ALIVE, "house/room.py": ROOM, "docs/plan.md": PLAN}
    for name, text in (written | files).items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(written.get(name, "") + text if name in files else text)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    return root


def test_a_house_in_order_has_no_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(house(tmp_path))]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("file", "text", "finding"),
    [
        ("house/main.py", "def lost() -> None: ...\n", "16: function 'lost': nothing reads it"),
        (
            "tests/test_house.py",
            "from house import room\nroom.LEFT = 1\nprint(room.LEFT)\ndef idle() -> None: ...\n",
            "4: function 'idle': nothing reads it",
        ),
        (
            "house/main.py",
            "class Cup:\n    def __deepcopy__(self, memo: object) -> object:\n        return memo\nprint(Cup)\n",
            "17: method 'Cup.__deepcopy__': nothing copies a Cup",
        ),
        (
            "house/main.py",
            "# What is in `house.cellar`.\n",
            "16: 'house.cellar' names no module, and no name in one",
        ),
        (
            "house/main.py",
            "print('house.room.Hall')\n",
            "16: 'house.room.Hall' names no module, and no name in one",
        ),
        ("house/main.py", "# Room.door is `Room.window`.\n", "16: 'Room.window': the class has no such name"),
        ("docs/plan.md", "`house/cellar.py`\n", "2: 'house/cellar.py' is no file"),
        ("docs/plan.md", "[a](../house/attic.py)\n", "2: '../house/attic.py' is no file"),
        (
            "Dockerfile",
            'CMD ["python", "-m", "house.attic"]\n',
            "1: 'house.attic' names no module, and no name in one",
        ),
    ],
)
def test_a_planted_fault_is_the_only_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, finding: str
) -> None:
    assert main([str(house(tmp_path, **{file: text}))]) == 1
    assert capsys.readouterr().out == f"{file}:{finding}\n"


def test_a_name_that_only_a_test_reads_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tested = {
        "house/room.py": "SPARE = 4\n",
        "tests/test_house.py": "from house.room import SPARE\nprint(SPARE)\n",
    }
    assert main([str(house(tmp_path, **tested))]) == 1
    assert capsys.readouterr().out == "house/room.py:22: variable 'SPARE': only a test reads it\n"
