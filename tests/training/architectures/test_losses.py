"""Losses of recommenders against their definition."""

import torch
from torch import nn

from training.architectures.losses import basket_loss, dense_logistic_loss


def test_basket_loss_is_the_mean_log_probability_of_the_basket() -> None:
    scores, target = torch.randn(2, 5), torch.tensor([[1, 4, 0], [2, 0, 0]])
    logs = scores.log_softmax(1)
    expected = -((logs[0, 0] + logs[0, 3]) / 2 + logs[1, 1]) / 2
    torch.testing.assert_close(basket_loss(scores, target), expected)


def test_dense_logistic_loss_is_what_drawing_negatives_estimates() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, liked = torch.randn(1, 20, generator=generator), torch.tensor([[2, 7, 9, 0]])
    unseen = [column for column in range(20) if column not in (1, 6, 8)]
    draws = torch.tensor(unseen)[torch.randint(0, 17, (4000, 3 * 5), generator=generator)]
    positive = nn.functional.softplus(-scores[0, [1, 6, 8]]).sum()
    sampled = positive + nn.functional.softplus(scores[0][draws]).sum(1).mean()
    torch.testing.assert_close(dense_logistic_loss(scores, liked, 5), sampled, rtol=0.02, atol=0.0)
