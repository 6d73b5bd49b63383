"""Which of several processes this one is: torchrun starts them, on one machine or many, or Fabric (`--devices`).

The first process reports, exports and publishes; the others only compute their share of each fit.
"""

import os
from typing import NamedTuple

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only

from training.config import TrainConfig
from training.errors import ConfigError


class Processes(NamedTuple):
    """How many there are on each machine, and machines."""

    local: int
    machines: int

    @property
    def all(self) -> int:
        return self.local * self.machines


def processes(config: TrainConfig) -> Processes:
    """What torchrun started where it did; else what the configuration asks for."""
    if not torch.distributed.is_torchelastic_launched():
        return Processes(config.devices, 1)
    local, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if config.devices not in (1, local):
        raise ConfigError(f"devices: it is {config.devices}, and torchrun has started {local} processes here")
    return Processes(local, everywhere // local)


def is_first() -> bool:
    """Whether this process is the one that reports."""
    return not getattr(rank_zero_only, "rank", 0)


def leave_group() -> None:
    """The last fit is done, and the processes go their own ways: no metric waits for the others any more."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
