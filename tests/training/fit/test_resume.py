"""A run killed in the middle of an epoch and resumed ends with the same bits as one left alone."""

import multiprocessing
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.fit_embedded import FLAGS, fit_embedded
from training.fit.checkpoint import read_checkpoint

pytestmark = pytest.mark.slow

# The server imports torch and Lightning once; every run is then a fresh process forked from it.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.training.fit_embedded"])


def run(task: str, root: Path, die_at: Sequence[int] = ()) -> int | None:
    process = PROCESSES.Process(target=fit_embedded, args=(task, root, die_at))
    process.start()
    process.join(300)
    return process.exitcode


@pytest.fixture(scope="module", params=FLAGS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def uninterrupted(task: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "run"
    assert run(task, root) == 0
    return root


@pytest.mark.parametrize(
    "kills",
    [(33,), (60,), (5, 48)],
    ids=["in the middle of an epoch", "before the validation of an epoch", "before any checkpoint and again"],
)
def test_killed_and_resumed_run_ends_the_same(
    task: str, uninterrupted: Path, tmp_path: Path, kills: tuple[int, ...]
) -> None:
    root = tmp_path / "run"
    for step in kills:
        assert run(task, root, [step]) == -signal.SIGKILL
    assert run(task, root) == 0
    for name in ("resume.ckpt", "best.ckpt"):
        whole = read_checkpoint(uninterrupted / "checkpoints" / name)
        resumed = read_checkpoint(root / "checkpoints" / name)
        same(whole, resumed, name)


def same(whole: Any, resumed: Any, where: str) -> None:
    """To the bit, and everything."""
    if isinstance(whole, dict):
        assert whole.keys() == resumed.keys(), where
        for key in whole:
            same(whole[key], resumed[key], f"{where}: {key}")
    elif isinstance(whole, list | tuple):
        assert len(whole) == len(resumed), where
        for place, (one, other) in enumerate(zip(whole, resumed, strict=True)):
            same(one, other, f"{where}: {place}")
    elif isinstance(whole, torch.Tensor):
        assert torch.equal(whole, resumed), where
    else:
        assert whole == resumed, where
