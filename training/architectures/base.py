"""The contract of a network of each task: the methods in which an architecture's network differs.

Its record is `record.Architecture`. Every default below is that of most networks: a new one overrides only the
methods in which it differs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from training.architectures.losses import basket_loss


@dataclass(frozen=True)
class ForeignStart:
    """How a network starts from the weights of another architecture than its own.

    about: the model that it needs, for the message that refuses another. shapes: the weights by that model's names.
    fill: takes them over.
    """

    about: str
    shapes: Mapping[str, Sequence[int]]
    fill: Callable[[Mapping[str, Tensor]], None]


class Network(nn.Module):
    """A model of any task, as fitting, transfer and export see it."""

    def head_names(self) -> set[str]:
        """The parameters that are new after a start from another model: the last linear layer knows the classes."""
        head = [name for name, module in self.named_modules() if isinstance(module, nn.Linear)][-1]
        return {name for name, _ in self.named_parameters() if name.rpartition(".")[0] == head}

    def foreign_start(self) -> ForeignStart | None:
        """None: it starts from its own architecture, weight by weight."""
        return None

    def deployed(self) -> nn.Module:
        """The module to export: the same function, with everything computed that no input changes."""
        return self


class ImageNetwork(nn.Module):
    """float [n, C, H, W], of mean 0 and deviation 1 → logits float [n, classes]; `ImageClassifier` wraps it."""

    def prepare(self, images: Callable[[int], Tensor]) -> None:
        """Set what no gradient learns; `images(count)` gives the first images of train, as `forward` is given them."""


class ImageLayers(nn.Sequential, ImageNetwork):
    """A network that is a chain of layers."""


class TextNetwork(Network):
    """int64 ids [n, length], 0 is padding → logits float [n, classes]."""

    def prepare(self, texts: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set what no gradient learns, from all texts of train: ids int64 [n, length] and labels int64 [n]."""


class CatalogueSpec(NamedTuple):
    """The facts that a recommender is built from.

    users, items: how many; items without the padding. length: items of the longest history that it is given.
    titles: one an item, in order, or none at all; a title may be empty.
    """

    users: int = 0
    items: int = 0
    length: int = 0
    titles: Sequence[str] = ()


class LogStatistics(NamedTuple):
    """The training log in numbers, for losses that weigh by them.

    popularity: float [items], baskets of train that hold each item. events: all of them. negatives: items to draw for
    each one that a user has.
    """

    popularity: Tensor
    events: int
    negatives: int


class Recommender(Network):
    """A history int64 [n, length] or a user int64 [n] → scores float [n, items]; column j is the item of index j + 1.

    Its record's `example_kind` decides which: "users" and "pairs" know users, the others are given histories.
    """

    def loss(self, batch: Mapping[str, Tensor], log: LogStatistics) -> Tensor:
        """The scalar to minimise over a batch of its kind of examples; here of baskets."""
        return basket_loss(self(batch["history"]), batch["target"])
