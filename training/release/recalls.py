"""The classes that a model never names, which no accuracy shows where they are rare."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassRecall

from inference.manifest import Evaluation
from training.data.examples import EVALUATION_BATCH, Loader
from training.tasks.base import Task, TaskData
from training.tasks.classification import ClassFacts

SHOWN = 10


def never_right(recalls: Mapping[str, float], split: str) -> Iterator[str]:
    """A line for each class without a right answer in the split, `SHOWN` at most, and one that counts the others."""
    missed = [name for name, recall in recalls.items() if recall == 0]
    yield from (f"class {name}: recall 0 on {split}" for name in missed[:SHOWN])
    if len(missed) > SHOWN:
        yield f"{len(missed) - SHOWN:,} more classes have recall 0 on {split}"


def validation_recalls(task: Task, model: nn.Module, data: TaskData[Any]) -> dict[str, float]:
    """The recall of each class that validation has; {} for a task without classes."""
    if not isinstance(facts := data.facts, ClassFacts):
        return {}
    metrics = MetricCollection({"recall": MulticlassRecall(len(facts.classes), average=None)})
    present = torch.zeros(len(facts.classes), dtype=torch.bool)
    with torch.inference_mode():
        for batch in Loader(data.validation, EVALUATION_BATCH, seed=0, training=False):
            task.score(model, batch, metrics)
            present[batch["label"]] = True
    recalls = dict(zip(facts.classes, metrics.compute()["recall"].tolist(), strict=True))
    return {name: recalls[name] for name, there in zip(facts.classes, present.tolist(), strict=True) if there}


def recalls_of(evaluation: Evaluation) -> dict[str, float]:
    """The recall of each class that test has."""
    return {score.label: score.recall for score in evaluation.per_class if score.rows}
