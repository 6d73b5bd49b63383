"""Matrix factorisation: a vector for each user and each item; their dot product, plus biases, is the score.

    user int64 [n]
      → user embedding                                 [n, width]
      → · item embeddingsᵀ + user bias + item bias     [n, items]

Koren, Bell & Volinsky 2009 (doi:10.1109/MC.2009.263). With the logistic loss of implicit feedback and a careful
choice of settings it beats the neural replacements of its dot product: Rendle, Krichene, Zhang & Anderson
2020, "Neural Collaborative Filtering vs. Matrix Factorization Revisited" (arXiv:2005.09683).
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from training.architectures.base import LogStatistics, Recommender
from training.architectures.losses import dense_logistic_loss


class MatrixFactorisation(Recommender):
    """Two tables and their biases."""

    def __init__(self, users: int, items: int, width: int, spread: float, l2: float) -> None:
        super().__init__()
        self.l2 = l2
        self.user, self.item = nn.Embedding(users, width), nn.Embedding(items, width)
        self.user_bias, self.item_bias = nn.Embedding(users, 1), nn.Parameter(torch.zeros(items))
        nn.init.zeros_(self.user_bias.weight)
        for table in (self.user.weight, self.item.weight):
            nn.init.normal_(table, std=spread)

    def forward(self, user: Tensor) -> Tensor:
        """int64 [n] → float [n, items]; column j is the item of index j + 1."""
        products = F.linear(self.user(user), self.item.weight, self.item_bias)
        return products + self.user_bias(user)  # type: ignore[no-any-return]

    def loss(self, batch: Mapping[str, Tensor], log: LogStatistics) -> Tensor:
        """Mean over all that sampling would draw: (1 + negatives) a pair, with the L2 of each drawn vector."""
        liked, negatives = batch["liked"], log.negatives
        count = (liked != 0).sum(1).float()
        draws = (1 + negatives) * count
        # Of a pass over all users an item is drawn as often as it is liked, and as a negative by its even share.
        popular = log.popularity.to(count.device)
        by_item = popular + negatives * log.events / len(popular)
        share = count.sum() / log.events
        loss = dense_logistic_loss(self(batch["user"]).float(), liked, negatives)
        return (loss + self.penalty(batch["user"], draws, by_item * share)) / draws.sum()

    def penalty(self, user: Tensor, user_draws: Tensor, item_draws: Tensor) -> Tensor:
        """L2 of every vector as often as the loss of these users draws it, as steps of SGD decay it (a scalar).

        user int64 [n], user_draws float [n], item_draws float [items].
        """
        people = self.user(user).square().sum(1) + self.user_bias(user).square().sum(1)
        items = self.item.weight.square().sum(1) + self.item_bias.square()
        squares: Tensor = (people * user_draws).sum() + (items * item_draws).sum()
        return 0.5 * self.l2 * squares
