"""The record of an architecture, and the defaults of a network."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from training.architectures.base import LogStatistics, Network, Recommender
from training.architectures.losses import basket_loss
from training.architectures.record import Architecture
from training.architectures.registry import ARCHITECTURES


def build(shape: int, *, width: int = 4, rate: float = 0.1, blocks: int | Sequence[int] = 1) -> nn.Module:
    return nn.Linear(shape, width)


def test_unknown_option_is_refused_with_the_ones_there_are() -> None:
    (fault,) = ARCHITECTURES["resnet"].faults_of({"withs": [1]})
    assert (
        fault
        == "withs: resnet has no such option; it has widths, blocks, stem_stride, dropout; did you mean widths?"
    )


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ({"width": 8, "rate": 0, "blocks": [1, 2]}, []),
        ({"width": "8"}, ["width: got '8', expected int"]),
        ({"width": 8.5}, ["width: got 8.5, expected int"]),
        (
            {"rate": None, "blocks": ["a"]},
            ["rate: got None, expected float", "blocks: got ['a'], expected int | Sequence[int]"],
        ),
    ],
    ids=str,
)
def test_an_option_of_another_type_is_refused_with_its_own(
    options: dict[str, Any], faults: list[str]
) -> None:
    assert Architecture("net", "vision", build, "", "").faults_of(options) == faults


class Two(Network):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(2, 3), nn.Linear(3, 4)


def test_the_head_of_a_network_is_its_last_linear_layer() -> None:
    network = Two()
    assert network.head_names() == {"head.weight", "head.bias"}
    assert network.foreign_start() is None
    assert network.deployed() is network


def test_a_recommender_learns_baskets_unless_it_says_otherwise() -> None:
    class Table(Recommender):
        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Embedding(5, 4)

        def forward(self, history: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.scores(history).sum(1)
            return scores

    batch = {"history": torch.tensor([[0, 2]]), "target": torch.tensor([[1, 4]])}
    log = LogStatistics(torch.ones(4), 4, 1)
    model = Table()
    assert model.loss(batch, log) == basket_loss(model(batch["history"]), batch["target"])
