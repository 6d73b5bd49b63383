"""The contract of a task: data, a model, a loss, metrics, a graph, raw inputs, an evaluation.

A task never trains, saves or publishes; it is asked. `tasks.registry` knows them by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from inference.configs import ProcessorConfig
from inference.manifest import DataSource, TaskName
from inference.predictor import Predictor
from inference.values import Payload, Tensors
from training.architectures.base import Network
from training.architectures.classifier import ClassifierGraph
from training.architectures.outliers import OUTLIER_OUTPUT, OutlierScore
from training.config import TrainConfig
from training.data.examples import Batch, Examples, Subset
from training.data.splits import Holdout, Rows
from training.evaluate.calibrate import Calibrated
from training.evaluate.outliers import OutlierChoice
from training.evaluate.report import Report

Axes = Mapping[str, Mapping[int, str]]
"""Axes, besides the batch, that stay dynamic: {input: {axis: name}}, such as the length of a text."""

Int8Method = Literal["static", "dynamic", "tables"]
"""The ways to quantize, which `training.release.quantize` explains."""


@dataclass(frozen=True)
class Facts:
    """A task's knowledge of its data besides the examples; each task has a record of its own."""


@dataclass(frozen=True)
class Foreign:
    """Rows that an outlier score is measured by, as a client would send them.

    kind: made by rule, a data set of that name, or test's own texts cut short, which are not to be told apart.
    """

    name: str
    kind: Literal["generated", "named", "first words"]
    payloads: Sequence[Payload]


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
    was left out; calibration: the rows of validation that choose no epoch, None where all do. A task narrows `facts`
    to its own record.
    """

    train: ExamplesT
    validation: ExamplesT
    test: ExamplesT
    held_out: Holdout
    source: DataSource
    facts: Facts
    skipped: tuple[str, ...] = field(default=())
    calibration: Rows | None = None

    @property
    def choosing(self) -> Examples:
        """Validation without the rows of calibration: the examples that the epoch is chosen on."""
        if self.calibration is None:
            return self.validation
        rows = np.setdiff1d(np.arange(len(self.validation)), self.calibration)
        return Subset(self.validation, torch.from_numpy(rows))


DataT = TypeVar("DataT", bound=TaskData[Any])
FactsT_contra = TypeVar("FactsT_contra", bound=Facts, contravariant=True)
ModelT = TypeVar("ModelT", bound=Network)


class TaskOf(Protocol[DataT, FactsT_contra, ModelT]):
    """A task of these data, facts and model; a subclass overrides all that has no body here."""

    name: str
    """The word behind `baton train`."""
    manifest_task: TaskName
    """The task that the manifest names, by which serving knows the bundle."""
    monitor: Monitor
    """Unless `monitor_for` finds that the options imply another."""
    outputs: tuple[str, ...]
    """The graph's outputs, in order."""
    axes: Axes = MappingProxyType({})
    """The inputs' dynamic axes besides the batch."""
    int8_methods: tuple[Int8Method, ...] = ("dynamic", "tables")
    """In the order in which they are tried: the first that is accepted and faster than fp32 ends the search.

    "static" needs training batches with the graph's own inputs.
    """
    settings: frozenset[str] = frozenset()
    """Settings of other tasks that this one has, too."""
    starts_from_same_split: bool = False
    """Whether `init_from` must be a run that held out the same rows, since weights belong to users or items."""

    def monitor_for(self, config: TrainConfig) -> Monitor:
        """The metric that chooses the epoch, stops early and bounds the loss of int8 and pruning."""
        return self.monitor

    def load(self, config: TrainConfig) -> DataT:
        """Read the data and split them; the same configuration gives the same rows."""
        ...

    def build(self, config: TrainConfig, data: DataT) -> ModelT:
        """A fresh model whose `forward` takes the batch's inputs in order and gives logits or scores."""
        ...

    def augment(
        self, batch: Batch, config: TrainConfig, facts: FactsT_contra, generator: torch.Generator
    ) -> Batch:
        """Change a training batch, on the device it is on; every draw comes from `generator`."""
        return batch

    def loss(self, model: ModelT, batch: Batch, config: TrainConfig, facts: FactsT_contra) -> Tensor:
        """The scalar to minimise."""
        ...

    def metrics(self, facts: FactsT_contra) -> MetricCollection:
        """Fresh validation metrics, among them every one that `monitor_for` may choose."""
        ...

    def score(self, model: nn.Module, batch: Batch, metrics: MetricCollection) -> Tensor:
        """Run the model on a validation batch, update the metrics, and return its plain loss (a scalar)."""
        ...

    def inputs(self, batch: Batch) -> Batch:
        """The tensors of a batch that the graph takes, in the graph's order."""
        ...

    def collate(self, parts: Sequence[Tensors]) -> Tensors:
        """One batch from several rows of the graph's inputs, put together as the task's processor does."""
        ...

    def strangers(self, data: DataT) -> list[Tensors]:
        """Rows of the graph's inputs, first axis 1, as extreme as a client may send them: company for others."""
        ...

    def calibrate(self, model: nn.Module, data: DataT, config: TrainConfig) -> Calibrated:
        """Fit on validation how answers are corrected; no correction unless a task says so."""
        return Calibrated()

    def outliers(
        self, model: ModelT, calibrated: Calibrated, data: DataT
    ) -> tuple[OutlierScore, OutlierChoice] | None:
        """The score of how unlike the training data a row is, chosen on validation; None where the task has none."""
        return None

    def deployed(self, model: ModelT, calibrated: Calibrated) -> nn.Module:
        """The module to export: the inputs in order to the outputs in order."""
        ...

    def own(self, data: DataT) -> list[Payload]:
        """Rows of test that foreign ones are told from; only for a task that has `outliers`."""
        return []

    def foreign(self, data: DataT, config: TrainConfig) -> list[Foreign]:
        """Rows of another kind that the outlier score is measured by, made of test or of `config.foreign`'s sets."""
        return []

    def processor(self, config: TrainConfig, data: DataT) -> ProcessorConfig:
        """How serving prepares a raw input for the graph."""
        ...

    def files(self, data: DataT) -> Mapping[str, bytes]:
        """The bundle's files besides the graph: labels, tokenizer, catalogue."""
        ...

    def payload(self, examples: Any, row: int) -> Payload:
        """An example as a client would send it."""
        ...

    def golden_rows(self, data: DataT) -> list[int]:
        """The validation rows that become golden examples."""
        ...

    def evaluate(self, predictor: Predictor, data: DataT, calibrated: Calibrated, plots: Path) -> Report:
        """Score the bundle on the test split, through its own processor and ONNX Runtime; draw into `plots`."""
        ...

    def robustness(
        self, candidate: Path, model: nn.Module, data: DataT, config: TrainConfig
    ) -> dict[str, float]:
        """The main metric by corruption of the test rows, through the bundle in `candidate`; {} where it has none."""
        return {}

    def with_baselines(self, report: Report, data: DataT, config: TrainConfig) -> Report:
        """The report beside the baselines of the same rows, fitted here; as it is where `evaluate` has had them."""
        return report


Task: TypeAlias = TaskOf[Any, Any, Any]
"""Any task, as the pipeline knows it."""


def outputs_of(task: Task, deployed: nn.Module) -> tuple[str, ...]:
    """The outputs of that module in order: the task's own, and behind them the outlier score where it has one."""
    scored = isinstance(deployed, ClassifierGraph) and deployed.outliers is not None
    return (*task.outputs, OUTLIER_OUTPUT) if scored else task.outputs
