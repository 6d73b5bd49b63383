"""int8: a quantized graph is taken only inside a stated budget on validation, and where its rows keep apart.

The methods are in `training.release.quantizers`. Dynamic quantization takes one scale over the whole batch, so that a
row's answer depends on its company: most such graphs are refused. A factorisation's is not, since it multiplies the
stored rows of its tables.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from inference.manifest import Company
from inference.runtime.session import OrtSession
from training.config import TrainConfig
from training.data.examples import as_arrays
from training.release.measure import latency_ratio, score_on_validation
from training.release.quantizers import write_quantized
from training.release.verify import BatchMatters, company_of
from training.run import atomic_write
from training.tasks.base import Int8Method, Task, TaskData

LARGEST_SHARE = 0.6
"""Of fp32's file: above it most weights were not quantized, and a second graph is not worth its space."""

FASTER = 0.95
"""The ratio below which int8 counts as faster: two sessions of one graph differ by some hundredths by chance."""


class Trial(BaseModel):
    """One method, measured: its score on validation, the bytes of its file, and its latency if accepted.

    score: None where the file is too large or rows depend on their company, so that nothing more was measured.
    latency_ratio: median latency over fp32's at batch 1, in runs by turns. company: the proof that rows keep
    apart. depends: the reason why they do not, "" otherwise.
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
    """The artefact of the step: fp32 on validation, the trials against it, and the chosen one.

    budget: points (hundredths) of the metric that may be lost. chosen: the fastest accepted method, if any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str
    budget: float
    score: float
    size: int
    tried: dict[Int8Method, Trial]
    chosen: Int8Method | None

    @property
    def accepted(self) -> Trial | None:
        """The trial whose graph goes into the bundle; it is served where it is faster."""
        return None if self.chosen is None else self.tried[self.chosen]

    @property
    def proved(self) -> bool:
        """Whether the rows of the chosen graph were proved to keep apart; runs of older releases have no proof."""
        return self.accepted is None or self.accepted.company is not None


def quantize(task: Task, graph: Path, data: TaskData[Any], target: Path, config: TrainConfig) -> Quantization:
    """Try the task's methods on `graph`; the fastest that is accepted is left in `target`, or nothing."""
    comparison = _Comparison(task, graph, data, config)
    tried: dict[Int8Method, Trial] = {}
    fastest: tuple[float, Int8Method] | None = None
    target.unlink(missing_ok=True)
    for method in task.int8_methods:
        with TemporaryDirectory() as folder:
            small = Path(folder) / target.name
            write_quantized(method, task, graph, data, small)
            trial = tried[method] = comparison.trial(small)
            if trial.latency_ratio is not None and (fastest is None or trial.latency_ratio < fastest[0]):
                fastest = trial.latency_ratio, method
                atomic_write(target, small.read_bytes())
        if trial.faster:
            break
    return Quantization(
        metric=comparison.monitor.metric,
        budget=config.quantize_budget,
        score=comparison.score,
        size=comparison.size,
        tried=tried,
        chosen=fastest[1] if fastest else None,
    )


class _Comparison:
    """Compares quantized graphs with the fp32 one, and measures no more of them once they are refused."""

    def __init__(self, task: Task, graph: Path, data: TaskData[Any], config: TrainConfig) -> None:
        self._task, self._data, self._budget = task, data, config.quantize_budget
        self.monitor = task.monitor_for(config)
        self._original, self.size = OrtSession(graph.read_bytes(), graph), graph.stat().st_size
        self.score = score_on_validation(self._original, task, data, self.monitor.metric)
        self._one = as_arrays(task.inputs(data.validation.batch(torch.tensor([0]), torch.Generator())))

    def trial(self, small: Path) -> Trial:
        """The cheap checks first: size, then company, then the score, then the latency."""
        size = small.stat().st_size
        if size > LARGEST_SHARE * self.size:
            return Trial(score=None, size=size, latency_ratio=None)
        try:
            company = company_of(small, self._task, self._data)
        except BatchMatters as error:
            return Trial(score=None, size=size, latency_ratio=None, depends=str(error))
        session = OrtSession(small.read_bytes(), small)
        score = score_on_validation(session, self._task, self._data, self.monitor.metric)
        lost = (self.score - score if self.monitor.mode == "max" else score - self.score) * 100
        ratio = latency_ratio(session, self._original, self._one) if lost <= self._budget else None
        return Trial(score=score, size=size, latency_ratio=ratio, company=company)


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
