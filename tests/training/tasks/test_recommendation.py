"""The recommendation task: its facts, and the examples that each architecture asks for."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training.config import load_config
from training.data.histories import Liked, Pairs, Steps
from training.evaluate.calibrate import Calibrated
from training.tasks import recommendation
from training.tasks.recommendation import RecommendationData, RecommendationTask

TASK = RecommendationTask()


@cache
def load(arch: str) -> RecommendationData:
    return TASK.load(load_config("recommendation", ("--data", "shop", "--arch", arch, "--negatives", "2")))


@pytest.fixture(scope="module")
def data() -> RecommendationData:
    return load("two-towers")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "kind", "subject"),
    [
        ("mf", Liked, "user"),
        ("neumf", Pairs, "user"),
        ("two-towers", Steps, "history"),
        ("sasrec", Steps, "history"),
    ],
)
def test_an_architecture_is_given_the_examples_of_its_kind(arch: str, kind: type, subject: str) -> None:
    """A shop sells baskets, so that there are no sequences of single events for sasrec."""
    data = load(arch)
    assert isinstance(data.train, kind)
    assert data.facts.subject == subject
    assert list(TASK.inputs(data.validation.batch(torch.arange(2), torch.Generator()))) == [subject]


def test_the_statistics_count_the_log_that_is_trained_on(data: RecommendationData) -> None:
    facts = data.facts
    counts = np.bincount(facts.train_log.item, minlength=len(facts.ids) + 1)[1:]
    assert facts.statistics.popularity.tolist() == counts.tolist()
    assert (facts.statistics.events, facts.statistics.negatives) == (len(facts.train_log), 2)
    catalogue = json.loads(TASK.files(data)["items.json"])
    assert catalogue["popularity"] == counts.tolist()
    assert catalogue["users"] == []


def test_a_history_of_one_item_is_two_wide_for_the_exporter(data: RecommendationData) -> None:
    assert TASK.inputs({"history": torch.tensor([[7]])})["history"].tolist() == [[0, 7]]


def test_the_rows_of_the_proof_are_histories_of_any_item(data: RecommendationData) -> None:
    long, short, alike = (row["history"] for row in TASK.strangers(data))
    assert (long.shape[1], short.shape[1]) == (data.validation.length, 2)
    assert len(np.unique(alike)) == 1
    assert 1 <= long.min() <= long.max() <= len(data.facts.ids)


def test_baselines_are_fitted_once_for_all_precisions(
    data: RecommendationData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[dict[str, Any]] = []
    monkeypatch.setattr(recommendation, "baselines", lambda *_, **__: {"one": len(fitted)})
    monkeypatch.setattr(
        recommendation, "report", lambda _held, _score, rivals, *_, **__: fitted.append(rivals)
    )
    predictor: Any = None
    own = replace(data)  # the other tests' has none of these
    for _ in ("fp32", "int8"):
        TASK.evaluate(predictor, own, Calibrated(), tmp_path)
    assert fitted == [{"one": 0}, {"one": 0}]
