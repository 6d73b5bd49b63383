"""Recommendation: what comes next. A history (or a user) in, a score for every item of the catalogue out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn
from torchmetrics import MetricCollection

from inference.configs import RecommendationConfig
from inference.manifest import DataSource
from inference.predictor import Predictor
from inference.processors.catalogue import ITEMS_FILE, catalogue_json
from inference.processors.recommendation import HISTORY, SCORES, USER, pad_left
from inference.values import Payload, Tensors
from training.architectures.matrix_factorisation import MatrixFactorisation
from training.architectures.neumf import NeuMF
from training.architectures.registry import find_architecture
from training.architectures.sasrec import SASRec
from training.architectures.two_towers import TwoTowers
from training.config import TrainConfig
from training.data.events import Columns
from training.data.examples import CATALOGUE_BATCH, Batch
from training.data.histories import Held
from training.data.interactions import InteractionSet
from training.data.recommendation import Learns, Splits, load_interactions, make_splits
from training.data.splits import Holdout
from training.evaluate.baselines import popularity
from training.evaluate.calibrate import Calibrated
from training.evaluate.ranking import MeanFigure, hit_rate, ndcg, reciprocal_rank
from training.evaluate.ranking_report import baselines, ranks_of, report
from training.evaluate.report import Report
from training.tasks.base import Axes, Facts, Monitor, TaskData
from training.tasks.losses import basket_loss, dense_logistic_loss

LEARNS: dict[str, Learns] = {"mf": "users", "neumf": "pairs", "two-towers": "baskets", "sasrec": "sequences"}
"""What each architecture is trained on."""

GOLDEN_EXAMPLES = 6

RecommendationData = TaskData[Any]
"""Training examples are of another kind than the held-out ones, which are `Held`."""


class RecommendationTask:
    """Interactions in memory; the best epoch by NDCG@10 on held-out users."""

    name = "recommendation"
    monitor = Monitor("ndcg", "max")
    outputs: tuple[str, ...] = (SCORES,)
    axes: Axes = MappingProxyType({HISTORY: {1: "length"}})

    def load(self, config: TrainConfig) -> RecommendationData:
        columns = Columns(config.user_column, config.item_column, config.time_column, config.title_column)
        found = load_interactions(config.data, columns, repeats=config.repeats, strict=config.strict)
        learns = LEARNS[config.arch]
        splits = make_splits(found, learns, config.history, config.negatives, config.validation, config.seed)
        rows = np.arange(len(found.log))
        return TaskData(
            train=splits.train,
            validation=splits.validation,
            test=splits.test,
            held_out=Holdout(train=np.setdiff1d(rows, splits.held_rows), held=splits.held_rows),
            source=_source(found, splits),
            facts=_facts(found, splits, learns),
            skipped=found.skipped,
        )

    def build(self, config: TrainConfig, data: RecommendationData) -> nn.Module:
        facts, builder = data.facts, find_architecture(self.name, config.arch).build
        items = len(facts["ids"])
        if facts["learns"] in ("users", "pairs"):
            return builder(len(facts["users"]), items, **config.model)
        titles = {"titles": facts["titles"]} if config.arch == "two-towers" else {}
        return builder(items, config.history, **titles, **config.model)

    def augment(self, batch: Batch, config: TrainConfig, facts: Facts, generator: torch.Generator) -> Batch:
        return batch

    def loss(self, model: nn.Module, batch: Batch, config: TrainConfig, facts: Facts) -> Tensor:
        if isinstance(model, NeuMF):
            pairs = batch["user"], batch["item"]
            penalty = model.penalty(*pairs) if model.l2 else 0.0
            return F.binary_cross_entropy_with_logits(model.pairs(*pairs), batch["label"]) + penalty
        if isinstance(model, MatrixFactorisation):
            return _factorisation_loss(model, batch, config.negatives, facts)
        if isinstance(model, SASRec) and "next" in batch:
            there = batch["history"] != 0
            return model.loss(model.states(batch["history"])[there], batch["next"][there])
        return basket_loss(model(batch["history"]), batch["target"])

    def metrics(self, facts: Facts) -> MetricCollection:
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
        if facts["subject"] == USER:
            return [{USER: user[None]} for user in generator.integers(0, len(facts["users"]), 4)]
        items = generator.integers(1, len(facts["ids"]) + 1, (1, max(2, data.validation.length)))
        return [{HISTORY: row} for row in (items, items[:, :2], np.full_like(items, items[0, 0]))]

    def calibrate(self, model: nn.Module, data: RecommendationData) -> Calibrated:
        """Nothing: scores order items and are no probabilities."""
        return Calibrated()

    def deployed(self, model: nn.Module, calibrated: Calibrated) -> nn.Module:
        return ScoresGraph(model.deployed() if isinstance(model, TwoTowers) else model)

    def processor(self, config: TrainConfig, data: RecommendationData) -> RecommendationConfig:
        items = len(data.facts["ids"])
        return RecommendationConfig(
            kind="recommendation",
            subject=data.facts["subject"],
            max_history=config.history,
            default_k=min(config.default_k, items),
            max_k=min(config.max_k, items),
            filter_history=not data.facts["repeats"],
        )

    def files(self, data: RecommendationData) -> Mapping[str, bytes]:
        facts = data.facts
        users = facts["users"] if facts["subject"] == USER else ()
        counts = facts["popularity"].tolist()
        content = {"ids": facts["ids"], "titles": facts["titles"], "popularity": counts, "users": users}
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
        self, predictor: Predictor, data: RecommendationData, calibrated: Calibrated, pictures: Path
    ) -> Report:
        test, facts = data.test, data.facts

        def score(rows: Tensor) -> Tensor:
            payloads = [self.payload(test, row) for row in rows.tolist()]
            return torch.from_numpy(
                np.concatenate([outputs[SCORES] for outputs, _ in predictor.rows(payloads, CATALOGUE_BATCH)])
            )

        rivals = baselines(facts["train_log"], len(facts["ids"]), data.validation, repeats=facts["repeats"])
        return report(test, score, rivals, pictures, history_lengths=not test.by_user)


class ScoresGraph(nn.Module):
    """What is deployed: the model's input → scores float32 [n, items], as the one output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, subject: Tensor) -> tuple[Tensor]:
        """A history int64 [n, length] or a user int64 [n]."""
        return (self.model(subject).float(),)


def _source(found: InteractionSet, splits: Splits) -> DataSource:
    rows = {"train": len(splits.train_log), "validation": len(splits.validation), "test": len(splits.test)}
    return DataSource(name=found.name, url=found.url, licence=found.licence, digest=found.digest, rows=rows)


def _facts(found: InteractionSet, splits: Splits, learns: Learns) -> Facts:
    return {
        "learns": learns,
        "subject": USER if splits.test.by_user else HISTORY,
        "ids": found.catalogue.ids,
        "titles": found.catalogue.titles,
        "users": found.users,
        "repeats": found.repeats,
        "popularity": popularity(splits.train_log, len(found.catalogue)),
        "train_log": splits.train_log,
        "train_events": len(splits.train_log),
    }


def _factorisation_loss(model: MatrixFactorisation, batch: Batch, negatives: int, facts: Facts) -> Tensor:
    """Mean over what sampling would draw: (1 + negatives) a pair, with the L2 of what it draws."""
    liked = batch["liked"]
    count = (liked != 0).sum(1).float()
    draws = (1 + negatives) * count
    # Of a pass over all users an item is drawn as often as it is liked, and as a negative by its even share.
    popular = facts["popularity"].to(count.device)
    by_item = popular + negatives * facts["train_events"] / len(popular)
    share = count.sum() / facts["train_events"]
    loss = dense_logistic_loss(model(batch["user"]).float(), liked, negatives)
    return (loss + model.penalty(batch["user"], draws, by_item * share)) / draws.sum()
