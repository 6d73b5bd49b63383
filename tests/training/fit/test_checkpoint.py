"""Checkpoints: whole or not there, without code, and of the same model."""

import os
from pathlib import Path

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

    def full(contents: object, partial: Path) -> None:
        partial.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint({"step": 2}, path)
    assert read_checkpoint(path) == {"step": 1}
