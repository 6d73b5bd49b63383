"""Classes that are never named are told, on validation and on test."""

from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn

from inference.manifest import ClassScore, Evaluation
from training.data.vision import Images
from training.release.recalls import SHOWN, never_right, recalls_of, validation_recalls
from training.tasks.base import Task, TaskData
from training.tasks.classification import ClassFacts
from training.tasks.registry import find_task

CLASSES = ("fair", "fraud", "unseen")


class Majority(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([[1.0, 0.0, 0.0]]).expand(len(images), 3)


def test_a_class_that_is_never_right_on_validation_is_told_and_one_that_is_not_there_is_not() -> None:
    labels = torch.tensor([0] * 98 + [1] * 2)
    validation = Images(torch.zeros(100, 2, 2, 1, dtype=torch.uint8), labels)
    data = cast(
        "TaskData[Any]", SimpleNamespace(validation=validation, facts=ClassFacts(CLASSES, (98, 2, 1)))
    )
    recalls = validation_recalls(find_task("vision"), Majority(), data)
    assert recalls == {"fair": 1.0, "fraud": 0.0}
    assert list(never_right(recalls, "validation")) == ["class fraud: recall 0 on validation"]


def test_a_task_without_classes_has_no_recalls() -> None:
    data = cast("TaskData[Any]", SimpleNamespace(facts=None))
    assert validation_recalls(cast("Task", None), nn.Identity(), data) == {}


def test_the_recalls_of_test_are_those_of_the_classes_that_it_has() -> None:
    scores = tuple(
        ClassScore(label=name, precision=0.0, recall=recall, f1=0.0, rows=rows)
        for name, recall, rows in (("fair", 1.0, 98), ("fraud", 0.0, 2), ("unseen", 0.0, 0))
    )
    evaluation = Evaluation(split="test", rows=100, metrics={"accuracy": 0.98}, per_class=scores)
    assert list(never_right(recalls_of(evaluation), "test")) == ["class fraud: recall 0 on test"]


def test_many_such_classes_are_counted() -> None:
    lines = list(never_right({f"c{n}": 0.0 for n in range(SHOWN + 1_234)}, "test"))
    assert len(lines) == SHOWN + 1
    assert lines[-1] == "1,234 more classes have recall 0 on test"
