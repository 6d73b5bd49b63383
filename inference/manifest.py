"""The manifest: everything that serving must know of a model, written last when a bundle is published.

Unknown fields are refused, and no parameter of a processor has a default: the manifest alone says it.
`ManifestInvalid` is raised by `inference.store.bundle`, which knows the path.
"""

from datetime import datetime
from math import prod
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from inference.configs import (
    MOST_CLASSES,
    SOON,
    Conformal,
    Count,
    Line,
    OutOfDistribution,
    ProcessorConfig,
    Prose,
    Record,
    Share,
    Size,
)
from inference.errors import shorten
from inference.options import Precision
from inference.values import DataType

SCHEMA_VERSION: Literal[1] = 1
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"

TaskName = Literal["vision", "text", "recommendation", "tensor"]

_KINDS: dict[TaskName, str] = {
    "vision": "image", "text": "text", "recommendation": "recommendation", "tensor": "tensor"
}  # fmt: skip
"""The processor of each task."""

OUTSIDE = "a plain relative path inside the bundle"

MOST_ROW_ELEMENTS = 1 << 28
"""Of one row of a tensor whose axes are all known: 1 GB of float32."""

MOST_BATCH = 1 << 16

MOST_VERSION = 10**18 - 1
"""As many digits as a folder's name may have."""


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    odd = "\\" in path or "\0" in path or str(pure) != path
    if odd or pure.is_absolute() or ".." in pure.parts or path == ".":
        raise ValueError(f"got {shorten(repr(path))}, expected {OUTSIDE}")
    return path


RelativePath = Annotated[Line, AfterValidator(_inside)]

Axis = Annotated[int, Field(ge=-1, lt=1 << 63)]


class TensorSpec(Record):
    """One input or output of the graph; -1 stands for a dynamic axis, and the batch is the first."""

    name: Line
    datatype: DataType
    shape: Annotated[tuple[Axis, ...], SOON] = Field(max_length=64)
    any_shape: bool = Field(
        False, description="the graph says nothing of its axes, so a request may have any"
    )

    @model_validator(mode="after")
    def _row_fits(self) -> Self:
        elements = prod(axis for axis in self.shape[1:] if axis > 0)
        if elements > MOST_ROW_ELEMENTS:
            expected = f"a row of at most {MOST_ROW_ELEMENTS}"
            raise ValueError(f"shape: got {list(self.shape)}, {elements} elements, expected {expected}")
        return self


class FileRecord(Record):
    """A file as it was published."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: Count = Field(description="bytes")


class Calibration(Record):
    """Temperature scaling (Guo et al. 2017), fitted on validation and folded into the graph.

    `ece_low` to `ece_high` is the 95 % bootstrap interval of `ece_after`.
    """

    temperature: float = Field(gt=0, le=1e6)
    ece_before: Share = Field(description="expected calibration error on test, temperature 1")
    ece_after: Share = Field(description="the same with the temperature in the graph")
    bins: int = Field(gt=0, le=1 << 16)
    method: Literal["temperature", "none"] = Field("temperature", description="none: the temperature is 1")
    reason: Prose = Field("", description="why; empty: published before it was chosen by held-out rows")
    ece_low: Share | None = None
    ece_high: Share | None = None
    ece_noise: Share | None = Field(
        None, description="the mean of a calibrated model's error on as many rows with the same confidences"
    )


class Parity(Record):
    """How far ONNX Runtime was from PyTorch on the same inputs, at the deployed optimisation level."""

    max_abs_diff: float = Field(ge=0)
    max_batch_diff: float = Field(ge=0, description="the same row alone against in a batch")
    tolerance: float = Field(gt=0)
    batch_sizes: Annotated[tuple[Size, ...], SOON] = Field(max_length=1024)
    rows: Size
    optimization: Line


class Company(Record):
    """The proof that rows of several requests may share a run: each alone and in company, to a tolerance."""

    rows: Size = Field(description="validation rows that were held against their own answers")
    others: Count = Field(description="extreme rows that stood beside them")
    batch_size: Size = Field(description="rows of the largest batch")
    worst: Share = Field(description="the largest difference, as a share of what is allowed")


class ClassScore(Record):
    """One class in the table of results."""

    label: Prose
    precision: Share
    recall: Share
    f1: Share
    rows: Count


class SliceScore(Record):
    """A metric on a named part of the test split, with its 95 % interval."""

    column: Line
    value: Prose
    rows: Count
    metric: Line
    score: float
    low: float
    high: float


class Evaluation(Record):
    """Figures of one shipped precision on the test split, taken through the published bundle."""

    split: Literal["test"]
    rows: Count
    metrics: dict[Line, float] = Field(max_length=1024)
    per_class: Annotated[tuple[ClassScore, ...], SOON] = Field((), max_length=MOST_CLASSES)
    confusion: Annotated[tuple[Annotated[tuple[Count, ...], SOON], ...], SOON] = Field(
        (), max_length=MOST_CLASSES, description="rows are the truth, columns the guess"
    )
    slices: Annotated[tuple[SliceScore, ...], SOON] = Field((), max_length=MOST_CLASSES)
    robustness: dict[Line, float] = Field(
        default_factory=dict, max_length=1024, description="the main metric by corruption"
    )


class Graph(Record):
    """One precision of the model: its file, its scores and its cost."""

    file: RelativePath
    evaluation: Evaluation | None = None
    latency_ratio: float | None = Field(None, gt=0, description="latency over fp32's, measured in one run")
    company: Company | None = Field(
        None, description="that rows do not see each other; None: published before that was proved"
    )


class Pruning(Record):
    """Magnitude pruning: its cost on validation, and its gain in the graph where it was accepted."""

    share: float = Field(gt=0, lt=1, description="of the weights that were to become zero")
    metric: Line
    dense_score: float = Field(description="of the weights before, on validation")
    score: float = Field(description="of the pruned weights, on validation")
    budget: float = Field(ge=0, description="points (hundredths) of the metric that might be lost")
    accepted: bool = Field(description="whether the graph has the pruned weights, or the dense ones")
    sparsity: Share | None = Field(None, description="zeros among the graph's matrices and filters")
    compressed_size: Size | None = Field(None, description="bytes of the fp32 graph in zlib's compression")
    dense_compressed_size: Size | None = Field(None, description="the same of the dense graph")
    latency_ratio: float | None = Field(None, gt=0, description="latency over the dense graph's, in one run")


class DataSource(Record):
    """Where the rows came from."""

    name: Prose
    url: Prose | None
    licence: Prose
    digest: Line = Field(description="sha256 over the files or rows that were read")
    rows: dict[Line, Count] = Field(max_length=1024, description="rows by split")
    choices: dict[Line, Prose] = Field(
        default_factory=dict,
        max_length=64,
        description="what training found out of the files, such as columns",
    )


class DistilledFrom(Record):
    """The published bundle that a model was distilled from."""

    name: str = Field(pattern=NAME_PATTERN)
    version: int = Field(ge=1, le=MOST_VERSION)
    digest: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="sha256 of its manifest, which lists its files'"
    )


class Provenance(Record):
    """The facts by which the model can be made again."""

    command: Prose
    seed: int = Field(ge=-(1 << 63), lt=1 << 64)
    code_revision: Line
    config: dict[Line, Prose | Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)] | float | bool | None] = (
        Field(max_length=1024)
    )
    libraries: dict[Line, Line] = Field(max_length=1024)
    parameters: Size = Field(description="trained weights")
    epochs: float = Field(ge=0)
    train_seconds: float = Field(ge=0)


class Manifest(Record):
    """A bundle's own account of itself; see the module's docstring."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = Field(pattern=NAME_PATTERN)
    version: int = Field(ge=1, le=MOST_VERSION)
    task: TaskName
    description: Prose
    architecture: Line
    created: datetime | None
    inputs: Annotated[tuple[TensorSpec, ...], SOON] = Field(min_length=1, max_length=4096)
    outputs: Annotated[tuple[TensorSpec, ...], SOON] = Field(min_length=1, max_length=4096)
    max_batch_size: int = Field(
        ge=0, le=MOST_BATCH, description="rows a run may hold; 0: the graph has no batch axis"
    )
    processor: ProcessorConfig
    graphs: dict[Precision, Graph] = Field(min_length=1)
    serve: Precision = Field(description="the precision to serve unless told otherwise")
    calibration: Calibration | None = None
    conformal: Conformal | None = None
    out_of_distribution: OutOfDistribution | None = None
    parity: Parity | None = None
    teacher: DistilledFrom | None = None
    pruning: Pruning | None = None
    data: DataSource | None = None
    provenance: Provenance | None = None
    files: dict[RelativePath, FileRecord] = Field(max_length=1 << 14)

    @model_validator(mode="after")
    def _processor_is_the_tasks(self) -> Self:
        if self.processor.kind != _KINDS[self.task]:
            raise ValueError(
                f"processor.kind: got {self.processor.kind!r}, expected {_KINDS[self.task]!r} of task {self.task!r}"
            )
        return self

    @model_validator(mode="after")
    def _graphs_are_files(self) -> Self:
        if self.serve not in self.graphs:
            raise ValueError(f"serve: got {self.serve!r}, expected one of {sorted(self.graphs)}")
        for precision, graph in self.graphs.items():
            if graph.file not in self.files:
                raise ValueError(f"graphs.{precision}.file: got {graph.file!r}, expected one listed in files")
        return self
