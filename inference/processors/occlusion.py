"""Explanation by occlusion: how an answer changes when one part of its input is taken away.

    decode → variants → (run the row as it is) → target → (run the row without each part) → attribute

A part is a cell of an image, a word of a text, an item of a history. Its weight is the drop of the explained value:
above 0 where the part speaks for the answer, below 0 where it speaks against it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from inference.errors import InvalidInput
from inference.processors.base import Processor
from inference.values import Array, Features, JsonValue, Tensors

Explanation = dict[str, JsonValue]
"""One row's explanation, ready to be encoded as JSON."""

DIGITS = 6
"""Of a drop in an answer: single words of a long text move a probability by less than an answer's digits show."""


class Variants(NamedTuple):
    """One instance as it is, and without each of its parts. Rows are made when they are asked for."""

    whole: Features
    size: int
    without: Callable[[int], Tensors]
    """The row without one part, 0 ≤ part < size; its first axis is 1."""
    parts: Any
    """The names or places of the parts, for `attribute`."""


class AttributionTarget(NamedTuple):
    """The value that is explained: a column of an output."""

    output: str
    column: int


@runtime_checkable
class Occludes(Processor, Protocol):
    """A processor whose answers can be explained."""

    def variants(self, decoded: Any, parameters: Mapping[str, JsonValue]) -> Variants:
        """The rows to run; `parameters` are the client's, and an unknown one is refused by name."""
        ...

    def target(self, outputs: Tensors, variants: Variants) -> AttributionTarget:
        """The value to explain: the one behind the answer that `outputs` of the whole row give."""
        ...

    def attribute(
        self, outputs: Tensors, variants: Variants, target: AttributionTarget, drops: Array
    ) -> Explanation:
        """The explanation, from the whole row's outputs and the drop float64 [size] that each part causes."""
        ...


def check_names(parameters: Mapping[str, JsonValue], *known: str) -> None:
    """Refuse a parameter that nobody would read."""
    for name, value in parameters.items():
        if name not in known:
            expected = f"only {', '.join(known)}" if known else "no parameters"
            raise InvalidInput(f"parameters.{name}", value, expected)


def rounded(drops: Array) -> list[float]:
    """Drops as an answer shows them; adding 0 makes -0.0 a 0.0."""
    shown: list[float] = (drops.round(DIGITS) + 0.0).tolist()
    return shown
