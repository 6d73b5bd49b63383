"""The record of an architecture: its name, task, options and paper. PyTorch is imported by no record.

So the help, a configuration's faults and every refusal come without the seconds that PyTorch takes to import. The
builder of a record imports its network when it is called; networks are in the modules beside this one.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from training.errors import did_you_mean

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
        known = self._types()
        return [
            f"{name}: {self.name} has no such option; it has {', '.join(known)}{did_you_mean(name, known)}"
            if name not in known
            else f"{name}: got {value!r}, expected {_type_name(known[name])}"
            for name, value in options.items()
            if name not in known or not _fits(value, known[name])
        ]

    def _types(self) -> dict[str, Any]:
        """The type of each option. The builder's other annotations may name types of PyTorch, so they stay text."""
        options = {one.name: one.annotation for one in self._options()}
        annotated = {name: hint for name, hint in options.items() if hint is not inspect.Parameter.empty}
        scope = getattr(self.build, "__globals__", {})
        return dict.fromkeys(options, Any) | get_type_hints(SimpleNamespace(__annotations__=annotated), scope)

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
