"""The loss of classifiers, their golden rows, and a task that calibrates nothing."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)

from inference.manifest import Evaluation
from training.config import load_config
from training.evaluate.linear import Baseline
from training.evaluate.metrics import class_scores
from training.evaluate.report import Report
from training.tasks import classification
from training.tasks.classification import DISTILLED, ClassFacts
from training.tasks.losses import distillation_loss
from training.tasks.registry import find_task

FACTS = ClassFacts(("a", "b"), (3, 1))
LOGITS, LABELS = torch.tensor([[1.0, -1.0], [0.5, 2.0]]), torch.tensor([0, 1])


def test_a_rare_class_weighs_as_much_as_the_others_where_they_are_balanced() -> None:
    config = load_config("vision", ("--class-weights", "balanced", "--label-smoothing", "0"))
    each = F.cross_entropy(LOGITS, LABELS, reduction="none")
    # 4 rows over 2 classes of 3 and 1: weights 2/3 and 2.
    expected = (each[0] * 2 / 3 + each[1] * 2) / (2 / 3 + 2)
    torch.testing.assert_close(classification.loss(LOGITS, {"label": LABELS}, config, FACTS), expected)
    assert classification.balanced_weights((2, 2)).tolist() == [1, 1]


def test_a_teacher_has_its_share_of_the_loss() -> None:
    flags = ("--distill-weight", "0.25", "--distill-temperature", "3", "--label-smoothing", "0")
    config = load_config("vision", flags)
    teacher = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    loss = classification.loss(LOGITS, {"label": LABELS, DISTILLED: teacher}, config, FACTS)
    hard, soft = F.cross_entropy(LOGITS, LABELS), distillation_loss(LOGITS, teacher, 3.0)
    assert loss.item() == pytest.approx((0.75 * hard + 0.25 * soft).item())


def test_golden_rows_are_the_first_of_each_class_that_validation_has() -> None:
    assert classification.golden_rows(torch.tensor([2, 2, 0, 2, 0]), 4) == [2, 0]
    assert len(classification.golden_rows(torch.arange(30), 30)) == classification.GOLDEN_EXAMPLES


def test_balanced_accuracy_is_half_where_one_of_two_classes_is_never_named() -> None:
    config = load_config("text", ("--class-weights", "balanced"))
    monitor = find_task("text").monitor_for(config)
    metrics = classification.metrics(FACTS)
    metrics.update(torch.tensor([[1.0, 0.0]]).expand(50, 2), torch.tensor([0] * 49 + [1]))
    found = metrics.compute()
    assert found["accuracy"].item() == pytest.approx(0.98)
    assert found[monitor.metric].item() == pytest.approx(0.5)


def _report(*right: float) -> Report:
    """Of a model of three classes that was right on some rows of test."""
    per_class = class_scores([[1, 0, 0]] * 3, ("a", "b", "c"))
    evaluation = Evaluation(split="test", rows=len(right), metrics={"accuracy": 0.5}, per_class=per_class)
    return Report(evaluation=evaluation, row_scores=right)


def test_a_baseline_stands_beside_the_model_with_its_figures_and_rows() -> None:
    baseline = Baseline("name", "C 1", np.array([0, 0, 2, 2]))
    config = load_config("text")
    found = classification.with_baseline(_report(1, 1, 0, 1), baseline, torch.tensor([0, 0, 1, 2]), config)
    assert found.evaluation.metrics == {
        "accuracy": 0.5,
        "name: accuracy": 0.75,
        "name: macro_f1": pytest.approx((1 + 0 + 2 / 3) / 3),
    }
    assert (found.row_scores, found.baselines) == ((1, 1, 0, 1), {"name": (1, 1, 0, 1)})


def test_a_test_split_of_one_class_has_a_baseline_too() -> None:
    baseline = Baseline("name", "C 1", np.zeros(2, np.int64))
    found = classification.with_baseline(
        _report(1, 0), baseline, torch.zeros(2, dtype=torch.int64), load_config("text")
    )
    assert found.evaluation.metrics["name: accuracy"] == 1


def test_balanced_rows_have_the_mean_recall_of_the_classes_that_test_has() -> None:
    """Class b has no row of test: it has no recall, and takes no weight from the others."""
    config = load_config("text", ("--class-weights", "balanced"))
    baseline = Baseline("name", "C 1", np.array([0, 0, 0, 0]))
    found = classification.with_baseline(_report(1, 1, 0, 1), baseline, torch.tensor([0, 0, 0, 2]), config)
    assert np.mean(found.row_scores) == pytest.approx((2 / 3 + 1) / 2)
    assert np.mean(found.baselines["name"]) == pytest.approx((1 + 0) / 2)
