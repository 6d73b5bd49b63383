"""Matrix factorisation: its scores and its loss, computed by hand."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)

from training.architectures import matrix_factorisation, recommenders
from training.architectures.base import CatalogueSpec, LogStatistics

CATALOGUE = CatalogueSpec(users=3, items=4)


def model_of(l2: float) -> matrix_factorisation.MatrixFactorisation:
    torch.manual_seed(0)
    model = recommenders.mf(CATALOGUE, width=2, spread=0.5, l2=l2)
    torch.nn.init.normal_(model.user_bias.weight)
    torch.nn.init.normal_(model.item_bias)
    return model


def test_a_score_is_the_product_of_two_vectors_and_two_biases() -> None:
    model = model_of(0)
    product = model.user.weight[2] @ model.item.weight[1]
    expected = product + model.user_bias.weight[2, 0] + model.item_bias[1]
    torch.testing.assert_close(model(torch.tensor([0, 2]))[1, 1], expected)


def test_the_loss_is_the_mean_over_pairs_and_the_negatives_that_would_be_drawn() -> None:
    batch = {"user": torch.tensor([1]), "liked": torch.tensor([[1, 3]])}
    log = LogStatistics(popularity=torch.tensor([1.0, 0, 1, 0]), events=2, negatives=3)
    model = model_of(0)
    scores = model(batch["user"])[0]
    # Two pairs, and 3 · 2 draws from the two items that are not liked.
    positive, negative = F.softplus(-scores[[0, 2]]).sum(), 3 * F.softplus(scores[[1, 3]]).sum()
    torch.testing.assert_close(model.loss(batch, log), (positive + negative) / 8)
    decayed = model_of(0.1)
    vectors = decayed.user.weight[1].square().sum() + decayed.user_bias.weight[1, 0].square()
    items = decayed.item.weight.square().sum(1) + decayed.item_bias.square()
    # The user stands in 8 draws; an item in each of its pairs, and in its share of the 6 negatives.
    penalty = 0.05 * (8 * vectors + (items * (log.popularity + 6 / 4)).sum()) / 8
    assert (decayed.loss(batch, log) - model.loss(batch, log)).item() == pytest.approx(
        penalty.item(), rel=1e-4
    )
