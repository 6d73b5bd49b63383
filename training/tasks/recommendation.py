"""Recommendation: the next items. A history (or a user) in, a score for every item of the catalogue out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn
from torchmetrics import MetricCollection

from inference.configs import RecommendationConfig
from inference.manifest import DataSource, TaskName
from inference.predictor import Predictor
from inference.processors.catalogue import ITEMS_FILE, catalogue_json
from inference.processors.recommendation import HISTORY, SCORES, USER, pad_left
from inference.values import Payload, Tensors
from training.architectures.base import CatalogueSpec, LogStatistics, Recommender
from training.architectures.losses import basket_loss
from training.architectures.registry import find_architecture
from training.config import TrainConfig
from training.data.configured import log_reading
from training.data.examples import CATALOGUE_BATCH, Batch
from training.data.histories import Held
from training.data.interactions import InteractionSet, ItemId, Log
from training.data.recommendation import Splits, load_interactions, make_splits
from training.data.splits import Holdout
from training.evaluate.baselines import Baseline, popularity
from training.evaluate.calibrate import Calibrated
from training.evaluate.ranking import MeanFigure, hit_rate, ndcg, reciprocal_rank
from training.evaluate.ranking_report import baselines, ranks_of, report
from training.evaluate.report import Report
from training.tasks.base import Axes, Facts, Monitor, TaskData, TaskOf

GOLDEN_EXAMPLES = 6
"""They are replayed whenever a bundle is opened, and each holds a score for every item of the catalogue."""


@dataclass(frozen=True)
class RecommendationFacts(Facts):
    """The catalogue, the users, and the log that is trained on.

    subject: the graph's input. ids, titles: external id and title of each item, in the order of the scores. users:
    external ids by number. repeats: whether to take the same item again is normal (a shop). train_log: its events,
    and statistics their counts, for a loss.
    """

    subject: Literal["history", "user"]
    ids: tuple[ItemId, ...]
    titles: tuple[str, ...]
    users: tuple[ItemId, ...]
    repeats: bool
    train_log: Log
    statistics: LogStatistics


@dataclass(frozen=True)
class RecommendationData(TaskData[Any]):
    """Training examples are of the architecture's kind, and the held-out ones are `Held`."""

    validation: Held
    test: Held
    facts: RecommendationFacts

    @cached_property
    def rivals(self) -> dict[str, Baseline]:
        """The baselines by name, fitted once on the log that the model is trained on: every precision meets them."""
        facts = self.facts
        return baselines(facts.train_log, len(facts.ids), self.validation, repeats=facts.repeats)


class RecommendationTask(TaskOf[RecommendationData, RecommendationFacts, Recommender]):
    """Interactions in memory; the best epoch by NDCG@10 on held-out users."""

    name = "recommendation"
    manifest_task: TaskName = "recommendation"
    monitor = Monitor("ndcg", "max")
    outputs: tuple[str, ...] = (SCORES,)
    axes: Axes = MappingProxyType({HISTORY: {1: "length"}})
    starts_from_same_split = True

    def load(self, config: TrainConfig) -> RecommendationData:
        found = load_interactions(config.data, log_reading(config))
        kind = find_architecture(self.name, config.arch).example_kind
        splits = make_splits(found, kind, config.history, config.negatives, config.validation, config.seed)
        rows = np.arange(len(found.log))
        return RecommendationData(
            train=splits.train,
            validation=splits.validation,
            test=splits.test,
            held_out=Holdout(train=np.setdiff1d(rows, splits.held_rows), held=splits.held_rows),
            source=_source(found, splits),
            facts=_facts(found, splits, config.negatives),
            skipped=found.skipped,
        )

    def build(self, config: TrainConfig, data: RecommendationData) -> Recommender:
        facts = data.facts
        catalogue = CatalogueSpec(len(facts.users), len(facts.ids), config.history, facts.titles)
        model: Recommender = find_architecture(self.name, config.arch).build(catalogue, **config.model)
        return model

    def loss(
        self, model: Recommender, batch: Batch, config: TrainConfig, facts: RecommendationFacts
    ) -> Tensor:
        return model.loss(batch, facts.statistics)

    def metrics(self, facts: RecommendationFacts) -> MetricCollection:
        return MetricCollection(
            {
                "ndcg": MeanFigure(lambda ranks: ndcg(ranks, 10)),
                "hit_rate": MeanFigure(lambda ranks: hit_rate(ranks, 10)),
                "mrr": MeanFigure(reciprocal_rank),
            }
        )

    def score(self, model: nn.Module, batch: Batch, metrics: MetricCollection) -> Tensor:
        scores = model(*self.inputs(batch).values()).float()
        metrics.update(ranks_of(scores, batch))
        return basket_loss(scores, batch["target"])

    def inputs(self, batch: Batch) -> Batch:
        """A history is at least two items wide: the exporter takes an axis of one as fixed."""
        if USER in batch:
            return {USER: batch[USER]}
        history = batch[HISTORY]
        return {HISTORY: F.pad(history, (1, 0)) if history.shape[1] == 1 else history}

    def collate(self, parts: Sequence[Tensors]) -> Tensors:
        if HISTORY in parts[0]:
            return {HISTORY: pad_left([part[HISTORY] for part in parts])}
        return {USER: np.concatenate([part[USER] for part in parts])}

    def strangers(self, data: RecommendationData) -> list[Tensors]:
        """Users by chance; or histories by chance, as long as they may be and short, and one item again and again."""
        facts, generator = data.facts, np.random.default_rng(0)
        if facts.subject == USER:
            return [{USER: user[None]} for user in generator.integers(0, len(facts.users), 4)]
        items = generator.integers(1, len(facts.ids) + 1, (1, max(2, data.validation.length)))
        return [{HISTORY: row} for row in (items, items[:, :2], np.full_like(items, items[0, 0]))]

    def deployed(self, model: Recommender, calibrated: Calibrated) -> nn.Module:
        """Scores order items and are no probabilities, so that nothing is calibrated."""
        return ScoresGraph(model.deployed())

    def processor(self, config: TrainConfig, data: RecommendationData) -> RecommendationConfig:
        items = len(data.facts.ids)
        return RecommendationConfig(
            kind="recommendation",
            subject=data.facts.subject,
            max_history=config.history,
            default_k=min(config.default_k, items),
            max_k=min(config.max_k, items),
            filter_history=not data.facts.repeats,
        )

    def files(self, data: RecommendationData) -> Mapping[str, bytes]:
        facts = data.facts
        users = facts.users if facts.subject == USER else ()
        counts = facts.statistics.popularity.tolist()
        content = {"ids": facts.ids, "titles": facts.titles, "popularity": counts, "users": users}
        return {ITEMS_FILE: catalogue_json(content)}

    def payload(self, examples: Held, row: int) -> Payload:
        """The user, or the whole history in the shop's own ids."""
        if examples.by_user:
            return Payload({USER: examples.users[int(examples.user[row])]}, field=f"row {row}")
        history = [examples.ids[index - 1] for index in examples.histories.row(row)]
        return Payload({HISTORY: history}, field=f"row {row}")

    def golden_rows(self, data: RecommendationData) -> list[int]:
        """Rows of different lengths: every so many of validation."""
        rows = len(data.validation)
        return list(range(0, rows, max(1, rows // GOLDEN_EXAMPLES)))[:GOLDEN_EXAMPLES]

    def evaluate(
        self, predictor: Predictor, data: RecommendationData, calibrated: Calibrated, plots: Path
    ) -> Report:
        test = data.test

        def score(rows: Tensor) -> Tensor:
            payloads = [self.payload(test, row) for row in rows.tolist()]
            return torch.from_numpy(
                np.concatenate([outputs[SCORES] for outputs, _ in predictor.rows(payloads, CATALOGUE_BATCH)])
            )

        return report(test, score, data.rivals, plots, history_lengths=not test.by_user)


class ScoresGraph(nn.Module):
    """The graph: the model's input → scores float32 [n, items], as the one output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, subject: Tensor) -> tuple[Tensor]:
        """A history int64 [n, length] or a user int64 [n]."""
        return (self.model(subject).float(),)


def _source(found: InteractionSet, splits: Splits) -> DataSource:
    rows = {"train": len(splits.train_log), "validation": len(splits.validation), "test": len(splits.test)}
    return DataSource(
        name=found.name,
        url=found.url,
        licence=found.licence,
        digest=found.digest,
        rows=rows,
        choices=dict(found.choices),
    )


def _facts(found: InteractionSet, splits: Splits, negatives: int) -> RecommendationFacts:
    counts = popularity(splits.train_log, len(found.catalogue))
    return RecommendationFacts(
        subject="user" if splits.test.by_user else "history",
        ids=found.catalogue.ids,
        titles=found.catalogue.titles,
        users=found.users,
        repeats=found.repeats,
        train_log=splits.train_log,
        statistics=LogStatistics(counts, len(splits.train_log), negatives),
    )
