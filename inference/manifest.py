"""The manifest: everything that serving must know of a model, written last when a bundle is published.

Unknown fields are refused, and no parameter of a processor has a default: the manifest alone says it.
`ManifestInvalid` is raised by `inference.store.bundle`, which knows the path.
"""

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from inference.configs import Conformal, OutOfDistribution, ProcessorConfig, Record
from inference.options import Precision
from inference.values import DataType

SCHEMA_VERSION: Literal[1] = 1
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"

TaskName = Literal["vision", "text", "recommendation", "tensor"]


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or str(pure) != path:
        raise ValueError(f"got {path!r}, expected a plain relative path inside the bundle")
    return path


RelativePath = Annotated[str, AfterValidator(_inside)]


class TensorSpec(Record):
    """One input or output of the graph; -1 stands for a dynamic axis, and the batch is the first."""

    name: str
    datatype: DataType
    shape: tuple[int, ...]
    any_shape: bool = Field(
        False, description="the graph says nothing of its axes, so a request may have any"
    )


class FileRecord(Record):
    """A file as it was published."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0, description="bytes")


class Calibration(Record):
    """Temperature scaling (Guo et al. 2017), fitted on validation and folded into the graph."""

    temperature: float = Field(gt=0)
    ece_before: float = Field(ge=0, le=1, description="expected calibration error on test, temperature 1")
    ece_after: float = Field(ge=0, le=1, description="the same with the temperature in the graph")
    bins: int = Field(gt=0)


class Parity(Record):
    """How far ONNX Runtime was from PyTorch on the same inputs, at the deployed optimisation level."""

    max_abs_diff: float = Field(ge=0)
    max_batch_diff: float = Field(ge=0, description="the same row alone against in a batch")
    tolerance: float = Field(gt=0)
    batch_sizes: tuple[int, ...]
    rows: int = Field(gt=0)
    optimization: str


class Company(Record):
    """The proof that rows of several requests may share a run: each alone and in company, to a tolerance."""

    rows: int = Field(gt=0, description="validation rows that were held against their own answers")
    others: int = Field(ge=0, description="extreme rows that stood beside them")
    batch_size: int = Field(gt=0, description="rows of the largest batch")
    worst: float = Field(ge=0, le=1, description="the largest difference, as a share of what is allowed")


class ClassScore(Record):
    """One class in the table of results."""

    label: str
    precision: float
    recall: float
    f1: float
    rows: int


class SliceScore(Record):
    """A metric on a named part of the test split, with its 95 % interval."""

    column: str
    value: str
    rows: int
    metric: str
    score: float
    low: float
    high: float


class Evaluation(Record):
    """Figures of one shipped precision on the test split, taken through the published bundle."""

    split: Literal["test"]
    rows: int
    metrics: dict[str, float]
    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = Field((), description="rows are the truth, columns the guess")
    slices: tuple[SliceScore, ...] = ()
    robustness: dict[str, float] = Field(default_factory=dict, description="the main metric by corruption")


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
    metric: str
    dense_score: float = Field(description="of the weights before, on validation")
    score: float = Field(description="of the pruned weights, on validation")
    budget: float = Field(ge=0, description="points (hundredths) of the metric that might be lost")
    accepted: bool = Field(description="whether the graph has the pruned weights, or the dense ones")
    sparsity: float | None = Field(
        None, ge=0, le=1, description="zeros among the graph's matrices and filters"
    )
    compressed_size: int | None = Field(
        None, gt=0, description="bytes of the fp32 graph in zlib's compression"
    )
    dense_compressed_size: int | None = Field(None, gt=0, description="the same of the dense graph")
    latency_ratio: float | None = Field(None, gt=0, description="latency over the dense graph's, in one run")


class DataSource(Record):
    """Where the rows came from."""

    name: str
    url: str | None
    licence: str
    digest: str = Field(description="sha256 over the files or rows that were read")
    rows: dict[str, int] = Field(description="rows by split")


class DistilledFrom(Record):
    """The published bundle that a model was distilled from."""

    name: str = Field(pattern=NAME_PATTERN)
    version: int = Field(ge=1)
    digest: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="sha256 of its manifest, which lists its files'"
    )


class Provenance(Record):
    """The facts by which the model can be made again."""

    command: str
    seed: int
    code_revision: str
    config: dict[str, str | int | float | bool | None]
    libraries: dict[str, str]
    parameters: int = Field(gt=0, description="trained weights")
    epochs: float = Field(ge=0)
    train_seconds: float = Field(ge=0)


class Manifest(Record):
    """A bundle's own account of itself; see the module's docstring."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = Field(pattern=NAME_PATTERN)
    version: int = Field(ge=1)
    task: TaskName
    description: str
    architecture: str
    created: datetime | None
    inputs: tuple[TensorSpec, ...] = Field(min_length=1)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1)
    max_batch_size: int = Field(ge=0, description="rows a run may hold; 0: the graph has no batch axis")
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
    files: dict[RelativePath, FileRecord]

    @model_validator(mode="after")
    def _graphs_are_files(self) -> Self:
        if self.serve not in self.graphs:
            raise ValueError(f"serve: got {self.serve!r}, expected one of {sorted(self.graphs)}")
        for precision, graph in self.graphs.items():
            if graph.file not in self.files:
                raise ValueError(f"graphs.{precision}.file: got {graph.file!r}, expected one listed in files")
        return self
