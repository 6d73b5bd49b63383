"""The processes of one fit, and the rank of this one: torchrun or Fabric (`--devices`) starts them.

The first process reports, exports and publishes; the others only compute their share of each fit.
"""

import os
from typing import NamedTuple

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only

from training.config import TrainConfig
from training.errors import ConfigError


class Processes(NamedTuple):
    """The number on each machine, and of machines."""

    local: int
    machines: int

    @property
    def all(self) -> int:
        return self.local * self.machines


def processes(config: TrainConfig) -> Processes:
    """The processes that torchrun has started; without torchrun, those that the configuration asks for."""
    if not torch.distributed.is_torchelastic_launched():
        return Processes(config.devices, 1)
    local, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if config.devices not in (1, local):
        raise ConfigError(f"devices: it is {config.devices}, and torchrun has started {local} processes here")
    return Processes(local, everywhere // local)


def is_first() -> bool:
    """Whether this process is the one that reports."""
    # Fabric sets the rank when it launches; before that, and without Fabric, there is one process.
    return not getattr(rank_zero_only, "rank", 0)


def leave_group() -> None:
    """Leave the process group after the last fit, so that no metric waits for the others any more."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
