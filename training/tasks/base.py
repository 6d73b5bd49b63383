"""What a task is to the loop: data, a model, a loss and metrics. The loop knows nothing else of it.

A task never trains, saves or exports; it is asked. `tasks.registry` knows them by name.
"""

from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from training.config import TrainConfig
from training.data.examples import Batch, Examples
from training.data.splits import Holdout


@dataclass(frozen=True)
class Monitor:
    """The validation metric that chooses the best epoch, and which way is better."""

    metric: str
    mode: Literal["min", "max"]


@dataclass(frozen=True)
class Source:
    """Where data came from: what the manifest repeats."""

    name: str
    licence: str
    digest: str


Facts = dict[str, Any]
"""What a task knows of its data besides the examples: classes and their counts, vocabulary, catalogue."""

ExamplesT = TypeVar("ExamplesT", bound=Examples)


@dataclass(frozen=True)
class TaskData(Generic[ExamplesT]):
    """The three splits; `test` is opened by `training.evaluate` alone.

    held_out: which rows of the published train became validation; skipped: a line for every example that
    was left out.
    """

    train: ExamplesT
    validation: ExamplesT
    test: ExamplesT
    held_out: Holdout
    source: Source
    facts: Facts
    skipped: tuple[str, ...] = field(default=())


class Task(Protocol):
    """One implementation for each of vision, text and recommendation."""

    name: str
    monitor: Monitor

    def load(self, config: TrainConfig) -> TaskData[Any]:
        """Read the data and split them; the same configuration gives the same rows."""
        ...

    def build(self, config: TrainConfig, data: TaskData[Any]) -> nn.Module:
        """A fresh model whose `forward` takes the batch's inputs by name and gives logits or scores."""
        ...

    def augment(self, batch: Batch, config: TrainConfig, facts: Facts, generator: torch.Generator) -> Batch:
        """Change a training batch, on the device it is on; every draw comes from `generator`."""
        ...

    def loss(self, model: nn.Module, batch: Batch, config: TrainConfig, facts: Facts) -> Tensor:
        """The scalar to minimise."""
        ...

    def metrics(self, facts: Facts) -> MetricCollection:
        """Fresh validation metrics, among them `monitor.metric`."""
        ...

    def score(self, model: nn.Module, batch: Batch, metrics: MetricCollection) -> Tensor:
        """Run the model on a validation batch, update the metrics, and return its plain loss (a scalar)."""
        ...
