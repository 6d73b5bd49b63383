"""Small recommenders with drawn weights, for the tests beside this file."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from training.architectures import recommenders
from training.architectures.base import CatalogueSpec

ITEMS, LENGTH, USERS = 12, 8, 9


TITLES = tuple(f"{colour} cup" for colour in ("red", "blue", "red", "old") * 3)


CATALOGUE = CatalogueSpec(USERS, ITEMS, LENGTH, TITLES)


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "sasrec": lambda: recommenders.sasrec(CATALOGUE, width=8, heads=2),
    "two-towers": lambda: recommenders.two_towers(CATALOGUE, width=8),
    "two-towers without titles": lambda: recommenders.two_towers(
        CATALOGUE._replace(titles=()), width=8, repeat=False
    ),
    "mf": lambda: recommenders.mf(CATALOGUE, width=4),
    "neumf": lambda: recommenders.neumf(CATALOGUE, width=4, layers=(8, 4, 2)),
}


def made(name: str) -> nn.Module:
    """A model with every weight drawn, so that no zero hides a mistake."""
    torch.manual_seed(0)
    model = BUILDERS[name]().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter.detach(), std=0.5)
    return model


def histories(lengths: list[int], width: int) -> Tensor:
    rng = np.random.default_rng(sum(lengths))
    rows = [[0] * (width - n) + rng.integers(1, ITEMS + 1, n).tolist() for n in lengths]
    return torch.tensor(rows)
