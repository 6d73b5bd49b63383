"""The contract of an architecture: its record in the registry, and the methods in which its network differs.

A builder takes facts of the data, then flat keyword options with defaults. Those options are all that
`--model` (or the `[model]` table of a configuration) may set.

    vision          build(shape, classes, *, …) → ImageNetwork    shape: (channels, height, width)
    text            build(words, classes, *, …) → TextNetwork     words: `words.Words`
    recommendation  build(catalogue, *, …)      → Recommender     catalogue: `CatalogueSpec`

Every default below is that of most networks: a new one overrides only the methods in which it differs.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor, nn

from training.architectures.losses import basket_loss

ExampleKind = Literal["rows", "sequences", "baskets", "users", "pairs"]
"""The examples that a network is trained on: rows of vision and text, the others of `training.data.histories`."""

Setting = bool | int | float | str


@dataclass(frozen=True)
class Architecture:
    """A named builder, with a line on its idea and the paper that published it.

    bf16_pays: whether a step is clearly shorter in bf16-mixed on a CPU that multiplies bf16. Convolutions gain more
    than their casts cost; attention, soft maxima and look-ups lose. Measured by `benchmarks.train_loop` with
    --precision, as shares of the step in fp32: ResNet 0.71, LSTM 0.8, GRU 1.1, the Transformer encoder 2.0, SASRec 1.4.
    embedded: the set that `baton train TASK` alone trains this on; the task's first architecture with one is taken.
    settings: those in which this architecture differs from the defaults, below the recipe of a data set.
    no_start, no_pruning: why `init_from` and `prune` are refused; empty where they are not.
    """

    name: str
    task: str
    build: Callable[..., Any]
    summary: str
    paper: str
    bf16_pays: bool = False
    example_kind: ExampleKind = "rows"
    embedded: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    no_start: str = ""
    no_pruning: str = ""

    def options(self) -> dict[str, Any]:
        """The keyword options of the builder with their defaults."""
        return {parameter.name: parameter.default for parameter in self._options()}

    def faults_of(self, options: Mapping[str, Any]) -> list[str]:
        """A line for each option that the builder does not have, or has in another type."""
        hints = get_type_hints(self.build)
        known = {parameter.name: hints.get(parameter.name, Any) for parameter in self._options()}
        return [
            f"{name}: {self.name} has no such option; it has {', '.join(known)}"
            if name not in known
            else f"{name}: got {value!r}, expected {_type_name(known[name])}"
            for name, value in options.items()
            if name not in known or not _fits(value, known[name])
        ]

    def _options(self) -> list[inspect.Parameter]:
        parameters = inspect.signature(self.build).parameters.values()
        return [parameter for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]


def _fits(value: Any, hint: Any) -> bool:
    """Strictly, so that "3" is no number; an int is a float, as in Python."""
    try:
        TypeAdapter(hint, config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError:
        return False
    return True


def _type_name(hint: Any) -> str:
    return inspect.formatannotation(hint).replace("collections.abc.", "").replace("typing.", "")


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
