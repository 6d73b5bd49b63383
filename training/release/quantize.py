"""int8: ONNX Runtime's quantizer, taken only inside a stated budget on validation, and where rows keep apart.

Static quantization stores weights and activations in 8 bits; the range of each activation is measured on
rows of train. Dynamic quantization stores the weights and measures activations in every run, over the whole
batch: a row's answer would depend on its company, so most such graphs are refused (a factorisation's is not,
which multiplies what it looked up as it is stored). `training.release.tables` stores what a graph looks up in 8 bits,
and computes in float32.
"""

import logging
import random
import statistics
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from inference.manifest import Company
from inference.predictor import Predictor
from inference.proving.golden import Golden, Tolerance, payload_of
from inference.runtime.session import OrtSession
from inference.values import Tensors
from training.data.examples import EVALUATION_BATCH, Batch, Loader, as_arrays
from training.release.tables import shrink_tables
from training.release.verify import BatchMatters, company_of
from training.run import write_whole
from training.tasks.base import Task, TaskData

log = logging.getLogger(__name__)

Method = Literal["static", "dynamic", "tables"]

METHODS: Mapping[str, tuple[Method, ...]] = {
    "vision": ("static", "dynamic"),
    "text": ("dynamic", "static", "tables"),
    "recommendation": ("dynamic", "tables"),  # what is trained on has not always the graph's own inputs
}
"""What is tried, by task and in this order: the first that is accepted and faster than fp32 ends the search."""

CALIBRATION_ROWS, CALIBRATION_BATCH = 256, 32
LARGEST_SHARE = 0.6
"""Of fp32's file: above it most weights were not quantized, and a second graph is not worth its place."""

LATENCY_ROUNDS, WARM_UP_ROUNDS = 100, 10
FASTER = 0.95
"""The ratio below which int8 counts as faster: two sessions of one graph differ by some hundredths by chance."""

# Weights of 7 bits: with 8, processors without VNNI saturate when they add two products (ONNX Runtime's
# documentation, "Quantize ONNX models", on U8S8), and a bundle is served by more machines than this one.
REDUCE_RANGE = True

STATIC_OPERATORS = ["Conv", "Gemm", "MatMul", "Add", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool"]
"""Neither the scaling of the pixels, which needs more than 8 bits, nor the softmax."""

GOLDEN_MARGIN = 1.5
"""Of the largest difference seen here: what other processors may add."""


class Trial(BaseModel):
    """One method, measured: its score on validation, the bytes of its file, and its latency if accepted.

    score: None where the file is too large or rows depend on their company, so that nothing more was asked.
    latency_ratio: median latency over fp32's at batch 1, in runs by turns. company: the proof that rows keep
    apart. depends: why they do not, "" otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    score: float | None
    size: int
    latency_ratio: float | None
    company: Company | None = None
    depends: str = ""

    @property
    def faster(self) -> bool:
        return self.latency_ratio is not None and self.latency_ratio < FASTER


class Quantization(BaseModel):
    """The artefact of the step: fp32 on validation, what was tried against it, and what was chosen.

    budget: points (hundredths) of the metric that may be lost. chosen: the fastest accepted method, if any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str
    budget: float
    score: float
    size: int
    tried: dict[Method, Trial]
    chosen: Method | None

    @property
    def accepted(self) -> Trial | None:
        """The trial whose graph goes into the bundle; it is served where it is faster."""
        return None if self.chosen is None else self.tried[self.chosen]

    @property
    def proved(self) -> bool:
        """Whether what was chosen was held against its own answers in company; runs of older releases have not."""
        return self.accepted is None or self.accepted.company is not None


def quantize(task: Task, graph: Path, data: TaskData[Any], target: Path, budget: float) -> Quantization:
    """Try the task's methods on `graph`; the fastest that is accepted is left in `target`, or nothing."""
    judge = _Judge(task, graph, data, budget)
    tried: dict[Method, Trial] = {}
    fastest: tuple[float, Method] | None = None
    target.unlink(missing_ok=True)
    for method in METHODS[task.name]:
        with TemporaryDirectory() as folder:
            made = Path(folder) / target.name
            _make(method, task, graph, data, made)
            trial = tried[method] = judge.trial(made)
            if trial.latency_ratio is not None and (fastest is None or trial.latency_ratio < fastest[0]):
                fastest = trial.latency_ratio, method
                write_whole(target, made.read_bytes())
        if trial.faster:
            break
    return Quantization(
        metric=task.monitor.metric,
        budget=budget,
        score=judge.score,
        size=judge.size,
        tried=tried,
        chosen=fastest[1] if fastest else None,
    )


class _Judge:
    """Holds quantized graphs against the fp32 one, and asks no more of them once they are refused."""

    def __init__(self, task: Task, graph: Path, data: TaskData[Any], budget: float) -> None:
        self._task, self._data, self._budget = task, data, budget
        self._original, self.size = OrtSession(graph.read_bytes(), graph), graph.stat().st_size
        self.score = score_on_validation(self._original, task, data)
        self._one = as_arrays(task.inputs(data.validation.batch(torch.tensor([0]), torch.Generator())))

    def trial(self, made: Path) -> Trial:
        """First what is quickly known."""
        size = made.stat().st_size
        if size > LARGEST_SHARE * self.size:
            return Trial(score=None, size=size, latency_ratio=None)
        try:
            company = company_of(made, self._task, self._data)
        except BatchMatters as error:
            return Trial(score=None, size=size, latency_ratio=None, depends=str(error))
        session = OrtSession(made.read_bytes(), made)
        seen = score_on_validation(session, self._task, self._data)
        lost = (self.score - seen if self._task.monitor.mode == "max" else seen - self.score) * 100
        ratio = latency_ratio(session, self._original, self._one) if lost <= self._budget else None
        return Trial(score=seen, size=size, latency_ratio=ratio, company=company)


def describe_trial(quantization: Quantization, trial: Trial) -> str:
    """One line: the score beside fp32's, the size, the speed, or why it was refused."""
    share = f"{trial.size / quantization.size:.2f} of the size"
    if trial.depends:
        return f"{share}: refused, {trial.depends}"
    if trial.score is None:
        return f"{share}: refused, expected at most {LARGEST_SHARE:g}"
    name = quantization.metric.replace("_", " ")
    line = f"validation {name} {trial.score:.4f} for {quantization.score:.4f}, {share}"
    if trial.latency_ratio is not None:
        return f"{line}, {trial.latency_ratio:.2f} of the latency"
    return f"{line}: refused, the budget is {quantization.budget:g} points"


class GraphModel(nn.Module):
    """A session where a task expects its model: the inputs in order → logits or scores, the last output."""

    def __init__(self, session: OrtSession) -> None:
        super().__init__()
        self.session = session

    def forward(self, *inputs: Tensor) -> Tensor:
        names = [spec.name for spec in self.session.inputs]
        tensors = as_arrays(dict(zip(names, inputs, strict=True)))
        return torch.from_numpy([*self.session.run(tensors).values()][-1])


def score_on_validation(session: OrtSession, task: Task, data: TaskData[Any]) -> float:
    """The monitored metric of a graph."""
    metrics, model = task.metrics(data.facts), GraphModel(session)
    with torch.inference_mode():
        for batch in Loader(data.validation, EVALUATION_BATCH, seed=0, training=False):
            task.score(model, batch, metrics)
    return float(metrics.compute()[task.monitor.metric])


def latency_ratio(
    first: OrtSession, second: OrtSession, tensors: Tensors, rounds: int = LATENCY_ROUNDS
) -> float:
    """Median latency of `first` over that of `second`, run by turns so that the machine's mood hits both alike."""
    seconds: dict[OrtSession, list[float]] = {first: [], second: []}
    for _ in range(WARM_UP_ROUNDS + rounds):
        for session, taken in seconds.items():
            started = time.perf_counter()
            session.run(tensors)
            taken.append(time.perf_counter() - started)
    medians = [statistics.median(taken[WARM_UP_ROUNDS:]) for taken in seconds.values()]
    return medians[0] / medians[1]


def golden_tolerance(predictor: Predictor) -> Tolerance:
    """How far the golden examples may be from PyTorch's answers: measured as they are replayed, with a margin."""
    golden = Golden.read(predictor.bundle)
    payloads = [payload_of(predictor.bundle, example) for example in golden.examples]
    worst = 0.0
    for batch_size in (1, len(payloads)):
        for (outputs, _), example in zip(predictor.rows(payloads, batch_size), golden.examples, strict=True):
            worst = max(
                worst,
                *(
                    float(np.abs(outputs[name][0] - np.asarray(expected)).max(initial=0))
                    for name, expected in example.outputs.items()
                ),
            )
    return Tolerance(atol=GOLDEN_MARGIN * worst + 1e-3, rtol=0)


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no stubs
    """Batches of train as ONNX Runtime asks for them."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches

    def get_next(self) -> Tensors | None:
        batch = next(self._batches, None)
        return None if batch is None else as_arrays(batch)


def _calibration_batches(task: Task, data: TaskData[Any]) -> Iterator[Batch]:
    rows = random.Random(0).sample(range(len(data.train)), min(CALIBRATION_ROWS, len(data.train)))
    for start in range(0, len(rows), CALIBRATION_BATCH):
        chosen: Sequence[int] = rows[start : start + CALIBRATION_BATCH]
        yield task.inputs(data.train.batch(torch.tensor(chosen), torch.Generator()))


def _make(method: Method, task: Task, graph: Path, data: TaskData[Any], made: Path) -> None:
    """Write the quantized graph."""
    if method == "tables":
        onnx.save(shrink_tables(onnx.load(graph)), made)
        return
    with TemporaryDirectory() as folder, warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # the quantizer's own advice to its authors
        prepared = Path(folder) / "prepared.onnx"
        # Folds batch norm into the layer before it, which a quantized layer could no longer take in.
        quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
        options = {
            "per_channel": True,
            "reduce_range": REDUCE_RANGE,
            "weight_type": QuantType.QInt8,
        }
        if method == "dynamic":
            # Its own rewriting of a Gemm contradicts the shapes that were inferred before.
            model = onnx.load(prepared)
            del model.graph.value_info[:]
            quantize_dynamic(model, made, **options)
        else:
            quantize_static(
                prepared,
                made,
                _Calibration(_calibration_batches(task, data)),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                op_types_to_quantize=STATIC_OPERATORS,
                # Logits of 8 bits would lie on 256 steps; and what attention multiplies has no weights.
                extra_options={
                    "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
                    "MatMulConstBOnly": True,
                },
                **options,
            )
            # The quantizer leaves tables as they are, which are most of a text model.
            onnx.save(shrink_tables(onnx.load(made)), made)


class _quiet:  # noqa: N801 - reads as the verb it is
    """Holds back what the quantizer writes to the root logger at every graph."""

    def __enter__(self) -> None:
        self._disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._disabled)
