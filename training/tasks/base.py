"""What a task is to the pipeline: data, a model, a loss, metrics, a graph, raw inputs, an evaluation.

A task never trains, saves or publishes; it is asked. `tasks.registry` knows them by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from inference.configs import ProcessorConfig
from inference.manifest import DataSource
from inference.predictor import Predictor
from inference.values import Payload, Tensors
from training.config import TrainConfig
from training.data.examples import Batch, Examples
from training.data.splits import Holdout
from training.evaluate.calibrate import Calibrated
from training.evaluate.report import Report

Facts = dict[str, Any]
"""What a task knows of its data besides the examples: classes and their counts, vocabulary, catalogue."""

Axes = Mapping[str, Mapping[int, str]]
"""Axes, besides the batch, that stay dynamic: {input: {axis: name}}, such as the length of a text."""

ExamplesT = TypeVar("ExamplesT", bound=Examples)


@dataclass(frozen=True)
class Monitor:
    """The validation metric that chooses the best epoch, and which way is better."""

    metric: str
    mode: Literal["min", "max"]


@dataclass(frozen=True)
class TaskData(Generic[ExamplesT]):
    """The three splits; `test` is opened by `Task.evaluate` alone.

    held_out: which rows of the published train became validation; skipped: a line for every example that
    was left out.
    """

    train: ExamplesT
    validation: ExamplesT
    test: ExamplesT
    held_out: Holdout
    source: DataSource
    facts: Facts
    skipped: tuple[str, ...] = field(default=())


class Task(Protocol):
    """One implementation for each of vision, text and recommendation."""

    name: str
    monitor: Monitor
    outputs: tuple[str, ...]
    """The graph's outputs, in order."""
    axes: Axes
    """The inputs' dynamic axes besides the batch."""

    def load(self, config: TrainConfig) -> TaskData[Any]:
        """Read the data and split them; the same configuration gives the same rows."""
        ...

    def build(self, config: TrainConfig, data: TaskData[Any]) -> nn.Module:
        """A fresh model whose `forward` takes the batch's inputs in order and gives logits or scores."""
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

    def inputs(self, batch: Batch) -> Batch:
        """What of a batch the graph takes, in the graph's order."""
        ...

    def collate(self, parts: Sequence[Tensors]) -> Tensors:
        """One batch from several rows of the graph's inputs, put together as the task's processor does."""
        ...

    def strangers(self, data: TaskData[Any]) -> list[Tensors]:
        """Rows of the graph's inputs, first axis 1, as extreme as a caller may send them: company for others."""
        ...

    def calibrate(self, model: nn.Module, data: TaskData[Any]) -> Calibrated:
        """Fit on validation what answers are corrected and judged by."""
        ...

    def deployed(self, model: nn.Module, calibrated: Calibrated) -> nn.Module:
        """The module to export: the inputs in order to the outputs in order."""
        ...

    def processor(self, config: TrainConfig, data: TaskData[Any]) -> ProcessorConfig:
        """How serving prepares a raw input for the graph."""
        ...

    def files(self, data: TaskData[Any]) -> Mapping[str, bytes]:
        """What the bundle holds besides the graph: labels, tokenizer, catalogue."""
        ...

    def payload(self, examples: Any, row: int) -> Payload:
        """An example as a caller would send it."""
        ...

    def golden_rows(self, data: TaskData[Any]) -> list[int]:
        """The validation rows that become golden examples."""
        ...

    def evaluate(
        self, predictor: Predictor, data: TaskData[Any], calibrated: Calibrated, pictures: Path
    ) -> Report:
        """Judge the bundle on the test split, through its own processor and ONNX Runtime; draw the pictures."""
        ...
