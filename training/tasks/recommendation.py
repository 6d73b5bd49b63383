"""Recommendation: what comes next. A history (or a user) in, a score for every item of the catalogue out."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn
from torchmetrics import MetricCollection

from training.architectures.matrix_factorisation import MatrixFactorisation
from training.architectures.neumf import NeuMF
from training.architectures.registry import find_architecture
from training.architectures.sasrec import SASRec
from training.baselines import popularity
from training.config import TrainConfig
from training.data.events import Columns
from training.data.examples import Batch, Examples
from training.data.interactions import InteractionSet
from training.data.recommendation import Learns, Splits, load_interactions, make_splits
from training.data.splits import Holdout
from training.losses import basket_loss, dense_logistic_loss
from training.ranking import MeanFigure, full_ranks, hit_rate, ndcg, reciprocal_rank, sampled_ranks
from training.tasks.base import Facts, Monitor, Source, TaskData

LEARNS: dict[str, Learns] = {"mf": "users", "neumf": "pairs", "two-towers": "baskets", "sasrec": "sequences"}
"""What each architecture is trained on."""

RecommendationData = TaskData[Examples]


class RecommendationTask:
    """Interactions in memory; the best epoch by NDCG@10 on held-out users."""

    name = "recommendation"
    monitor = Monitor("ndcg", "max")

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
            source=Source(found.name, found.licence, found.digest),
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
            return F.binary_cross_entropy_with_logits(
                model.pairs(batch["user"], batch["item"]), batch["label"]
            )
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
        return {name: batch[name] for name in ("history", "user") if name in batch}


def ranks_of(scores: Tensor, batch: Batch) -> Tensor:
    """Ranks by the protocol of the data: among the given others, or in the whole catalogue; int64 [n, most]."""
    if "others" in batch:
        return sampled_ranks(scores, batch["target"], batch["others"])
    return full_ranks(scores, batch["target"], batch.get("seen"))


def _facts(found: InteractionSet, splits: Splits, learns: Learns) -> Facts:
    return {
        "learns": learns,
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
