"""NeuMF: matrix factorisation beside a multilayer perceptron on the pair, joined by one last layer.

    user int64 [n], item int64 [n]
      GMF   user vector · item vector, element by element          [n, width]
      MLP   user and item vector side by side → layers, ReLU       [n, layers[-1]]
      → both side by side → linear                                 [n]

He, Liao, Zhang, Nie, Hu & Chua 2017, "Neural Collaborative Filtering" (arXiv:1708.05031). Served, one user meets
the whole catalogue. The first layer of the MLP is a sum of a user's and an item's part, so that over a catalogue each
part is computed once.

The paper starts it from a factorisation and a perceptron that were trained before (section 3.4.1). Here it may start
from a factorisation alone, of which it is the same function at first: the perceptron's weights in the last layer are
zero then, and it learns the rest.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from training.architectures.base import (
    ForeignStart,
    LogStatistics,
    Recommender,
)

BIASES = 2
"""Factors that a factorisation's biases of users and items become."""

BODY = frozenset({"gmf_user.weight", "gmf_item.weight"})
"""The weights that a factorisation gives; the rest is new after such a start."""


class NeuMF(Recommender):
    """Both branches with tables of their own, as in the paper."""

    def __init__(
        self,
        users: int,
        items: int,
        width: int,
        layers: Sequence[int],
        dropout: float,
        spread: float,
        l2: float,
    ) -> None:
        super().__init__()
        half = layers[0] // 2
        self.items, self.l2 = items, l2
        self.gmf_user, self.gmf_item = nn.Embedding(users, width), nn.Embedding(items, width)
        self.mlp_user, self.mlp_item = nn.Embedding(users, half), nn.Embedding(items, half)
        self.first_user = nn.Linear(half, layers[1])
        self.first_item = nn.Linear(half, layers[1], bias=False)
        rest: list[nn.Module] = [nn.ReLU()]
        for inner, outer in pairwise(layers[1:]):
            rest += [nn.Dropout(dropout), nn.Linear(inner, outer), nn.ReLU()]
        self.rest = nn.Sequential(*rest)
        self.out = nn.Linear(width + layers[-1], 1)
        for table in (self.gmf_user, self.gmf_item, self.mlp_user, self.mlp_item):
            nn.init.normal_(table.weight, std=spread)

    def pairs(self, user: Tensor, item: Tensor) -> Tensor:
        """Scores of pairs: user int64 [n], item index from 1, int64 [n] → float [n]."""
        column = item - 1
        product = self.gmf_user(user) * self.gmf_item(column)
        first = self.first_user(self.mlp_user(user)) + self.first_item(self.mlp_item(column))
        return self.out(torch.cat([product, self.rest(first)], -1)).squeeze(-1)  # type: ignore[no-any-return]

    def loss(self, batch: Mapping[str, Tensor], log: LogStatistics) -> Tensor:
        """Cross-entropy of pairs seen and drawn, with the L2 of their vectors."""
        pairs = batch["user"], batch["item"]
        penalty = self.penalty(*pairs) if self.l2 else 0.0
        return F.binary_cross_entropy_with_logits(self.pairs(*pairs), batch["label"]) + penalty

    def head_names(self) -> set[str]:
        """All but the two tables of GMF."""
        return {name for name, _ in self.named_parameters()} - BODY

    def foreign_start(self) -> ForeignStart:
        """A factorisation of the same users and items."""
        width, users = self.gmf_user.embedding_dim - BIASES, self.gmf_user.num_embeddings
        shapes = {
            "user.weight": [users, width],
            "item.weight": [self.items, width],
            "user_bias.weight": [users, 1],
            "item_bias": [self.items],
        }
        about = f"mf of these users and items of width {width}, which is neumf's less {BIASES}"
        return ForeignStart(about, shapes, self.begin_as)

    def begin_as(self, factorisation: Mapping[str, Tensor]) -> None:
        """Become the function of a `MatrixFactorisation` of these weights; its width is `BIASES` less than GMF's."""
        users, items = factorisation["user.weight"], factorisation["item.weight"]
        user_bias, item_bias = factorisation["user_bias.weight"], factorisation["item_bias"][:, None]
        with torch.no_grad():
            self.gmf_user.weight.copy_(torch.cat([users, user_bias, torch.ones_like(user_bias)], 1))
            self.gmf_item.weight.copy_(torch.cat([items, torch.ones_like(item_bias), item_bias], 1))
            self.out.weight.zero_()
            self.out.weight[:, : self.gmf_user.embedding_dim] = 1
            self.out.bias.zero_()

    def penalty(self, user: Tensor, item: Tensor) -> Tensor:
        """L2 of the vectors of a batch's pairs, a mean: each vector pays as often as it is drawn (a scalar)."""
        column = item - 1
        vectors = self.gmf_user(user), self.gmf_item(column), self.mlp_user(user), self.mlp_item(column)
        return 0.5 * self.l2 * torch.stack([each.square().sum(1).mean() for each in vectors]).sum()

    def forward(self, user: Tensor) -> Tensor:
        """int64 [n] → float [n, items]; column j is the item of index j + 1."""
        product = self.gmf_user(user)[:, None] * self.gmf_item.weight
        item_part = self.first_item(self.mlp_item.weight)
        deep = self.rest(self.first_user(self.mlp_user(user))[:, None] + item_part)
        return self.out(torch.cat([product, deep], -1)).squeeze(-1)  # type: ignore[no-any-return]
