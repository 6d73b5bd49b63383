"""Checkpoints: tensors and plain values only, so that nothing is unpickled that could run code."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.errors import RunError
from training.run import atomic_file

PREFIX = "model."
"""Begins every weight's name in a checkpoint: runs of older versions resume by it."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The checkpoint's contents, on the CPU; `RunError` for any other file."""
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise RunError(f"{path}: cannot be read as a checkpoint: {error}") from error
    return dict(contents)


def save_checkpoint(contents: dict[str, Any], path: Path) -> None:
    """All of it or nothing, for a run that is killed meanwhile; `RunError` where it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as partial, partial.open("wb") as stream:
        try:
            torch.save(contents, stream)
        except RuntimeError as error:
            # PyTorch ends its archive after a failed write too, and raises "unexpected pos" in its place.
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def load_weights(model: nn.Module, path: Path) -> nn.Module:
    """Put a checkpoint's weights into `model` (the averaged ones, where the run averaged); returns it in eval."""
    state = read_checkpoint(path)["state_dict"]
    weights = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"{path}: these weights are of another model: {error}") from error
    return model.eval()
