"""Two graphs on the same data: the monitored score of each on validation, and the latency of one over the other."""

import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from inference.runtime.session import OrtSession
from inference.values import Tensors
from training.data.examples import EVALUATION_BATCH, Loader, as_arrays
from training.tasks.base import Task, TaskData

LATENCY_ROUNDS, WARM_UP_ROUNDS = 100, 10


class GraphModel(nn.Module):
    """A session in place of a task's model: the inputs in order → logits or scores, the last output."""

    def __init__(self, session: OrtSession) -> None:
        super().__init__()
        self.session = session

    def forward(self, *inputs: Tensor) -> Tensor:
        names = [spec.name for spec in self.session.inputs]
        tensors = as_arrays(dict(zip(names, inputs, strict=True)))
        return torch.from_numpy([*self.session.run(tensors).values()][-1])


def score_on_validation(session: OrtSession, task: Task, data: TaskData[Any], metric: str) -> float:
    """One of the task's validation metrics, of a graph."""
    metrics, model = task.metrics(data.facts), GraphModel(session)
    with torch.inference_mode():
        for batch in Loader(data.validation, EVALUATION_BATCH, seed=0, training=False):
            task.score(model, batch, metrics)
    return float(metrics.compute()[metric])


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
