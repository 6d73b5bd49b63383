"""Matrix factorisation: a vector for each user and each item; their dot product, plus biases, is the score.

    user int64 [n]
      → user embedding                                 [n, width]
      → · item embeddingsᵀ + user bias + item bias     [n, items]

Koren, Bell & Volinsky 2009 (doi:10.1109/MC.2009.263). With the logistic loss of implicit feedback and a careful
choice of settings it beats the neural replacements of its dot product: Rendle, Krichene, Zhang & Anderson
2020, "Neural Collaborative Filtering vs. Matrix Factorization Revisited" (arXiv:2005.09683).
"""

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn


class MatrixFactorisation(nn.Module):
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

    def penalty(self, user: Tensor, user_draws: Tensor, item_draws: Tensor) -> Tensor:
        """L2 of every vector as often as the loss of these users draws it: what a step of SGD decays (a scalar).

        user int64 [n], user_draws float [n], item_draws float [items].
        """
        people = self.user(user).square().sum(1) + self.user_bias(user).square().sum(1)
        items = self.item.weight.square().sum(1) + self.item_bias.square()
        squares: Tensor = (people * user_draws).sum() + (items * item_draws).sum()
        return 0.5 * self.l2 * squares


def build(users: int, items: int, *, width: int = 192, spread: float = 0.1, l2: float = 0.005) -> nn.Module:
    """spread: standard deviation of the initial vectors; l2: on each vector, each time that it is drawn."""
    return MatrixFactorisation(users, items, width, spread, l2)
