"""The front of `baton train`: help and messages come without PyTorch, and no mistake ends in a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.fabric.utilities import rank_zero

from tests.training.mistakes import MISTAKES, TRAINING_ALONE, Mistake, told
from training.architectures.registry import task_names
from training.errors import ConfigError
from training.flags import check_flags
from training.run import is_worker_rank

ROOT = Path(__file__).parents[2]
OTHERS = {
    "help": ("--help",),
    **{f"help of {task}": (task, "--help") for task in task_names()},
    "a right command": ("vision",),
    "a mistake with --debug": ("vision", "--data", "nowhere", "--debug"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Status and output of every command, from one process without PyTorch."""
    command = [sys.executable, "-m", "tests.training.mistakes", str(tmp_path_factory.mktemp("mistakes"))]
    done = subprocess.run(
        [*command, json.dumps(OTHERS)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, tuple[int, str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: str(mistake.about))
def test_a_mistake_is_told_without_pytorch_and_without_a_traceback(
    answers: dict[str, tuple[int, str]], mistake: Mistake
) -> None:
    status, said = answers[mistake.about]
    assert status in (1, 2)
    assert said.startswith("baton train: ")
    assert mistake.said in said
    assert "Traceback" not in said
    assert "pip install" not in said


@pytest.mark.parametrize("name", [name for name in OTHERS if name.startswith("help")])
def test_help_comes_without_pytorch(answers: dict[str, tuple[int, str]], name: str) -> None:
    status, said = answers[name]
    assert status == 0
    assert said.startswith("usage: baton train")


def test_training_without_pytorch_says_how_to_install_it(answers: dict[str, tuple[int, str]]) -> None:
    status, said = answers["a right command"]
    assert status == 1
    assert "pip install 'baton[training]'" in said
    assert any(name in said for name in TRAINING_ALONE)
    assert "Traceback" not in said


def test_debug_shows_where_a_mistake_was_met(answers: dict[str, tuple[int, str]]) -> None:
    status, said = answers["a mistake with --debug"]
    assert status == 1
    assert said.startswith("Traceback")
    assert "baton train: --data 'nowhere' is neither a folder, nor a file, nor a named set" in said


def test_a_mistake_leaves_nothing_behind(tmp_path: Path) -> None:
    assert told(tmp_path, ("vision", "--data", "nowhere", "--models", "far/models"))[0] == 1
    assert list(tmp_path.iterdir()) == []


def test_every_flag_that_is_wrong_is_named() -> None:
    settings = {"epochs": False, "flip": True, "learning-rate": False}
    check_flags(("--epochs", "3", "--no-flip", "--learning-rate=0.1", "--flip"), settings)
    with pytest.raises(ConfigError) as caught:
        check_flags(
            ("--epoch", "3", "--no-epochs", "--learning-rate", "--flipp", "stray", "--epochs"), settings
        )
    assert str(caught.value).splitlines()[1:] == [
        "  --epoch: no such setting; did you mean --epochs?",
        "  --no-epochs: no such setting; did you mean --epochs?",
        "  --learning-rate: got nothing, expected a value",
        "  --flipp: no such setting; did you mean --flip?",
        "  --epochs: got nothing, expected a value",
    ]


@pytest.mark.parametrize(
    "variables", [{}, {"RANK": "1"}, {"LOCAL_RANK": "1"}, {"RANK": "0", "LOCAL_RANK": "2"}], ids=str
)
def test_a_worker_rank_is_known_as_lightning_knows_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_worker_rank() == bool(rank_zero._get_rank())
