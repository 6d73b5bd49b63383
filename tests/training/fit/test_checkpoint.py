"""Checkpoints: whole or not there, without code, and of the same model."""

import os
import resource
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from torch import nn

from training.errors import RunError
from training.fit.checkpoint import PREFIX, load_weights, read_checkpoint, save_checkpoint


def weights(model: nn.Module) -> dict[str, object]:
    return {"state_dict": {f"{PREFIX}{name}": value for name, value in model.state_dict().items()}}


def test_weights_come_back_in_evaluation_mode(tmp_path: Path) -> None:
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save_checkpoint(weights(one), tmp_path / "deep" / "best.ckpt")
    loaded = load_weights(other.train(), tmp_path / "deep" / "best.ckpt")
    assert torch.equal(loaded.get_parameter("weight"), one.weight)
    assert not loaded.training


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_checkpoint(weights(nn.Linear(3, 2)), tmp_path / "best.ckpt")
    with pytest.raises(
        RunError, match=r"best\.ckpt: these weights are of another model: (?s:.*)size mismatch"
    ):
        load_weights(nn.Linear(4, 2), tmp_path / "best.ckpt")


def test_a_file_that_names_a_function_is_refused_unread(tmp_path: Path) -> None:
    torch.save({"state_dict": os.system}, tmp_path / "best.ckpt")
    with pytest.raises(RunError, match=r"best\.ckpt: cannot be read as a checkpoint"):
        read_checkpoint(tmp_path / "best.ckpt")


def test_a_save_that_fails_leaves_the_older_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "resume.ckpt"
    save_checkpoint({"step": 1}, path)

    def full(contents: object, partial: BinaryIO) -> None:
        partial.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunError, match=r"resume\.ckpt: cannot be written: disk full"):
        save_checkpoint({"step": 2}, path)
    assert read_checkpoint(path) == {"step": 1}


def test_a_full_disk_is_told_and_leaves_no_half_of_a_checkpoint(tmp_path: Path) -> None:
    """A limit on the size of files fails as a full disk does, in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(
            RunError, match=r"best\.ckpt: cannot be written: File too large; the same command resumes"
        ):
            save_checkpoint(weights(nn.Linear(300, 300)), tmp_path / "best.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
