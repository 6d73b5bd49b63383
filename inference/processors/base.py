"""The stages of every processor, under the names that they have everywhere.

    decode → preprocess → collate → (run) → split → postprocess

A processor is pure: it holds parameters, never the state of a request, and may be used from any thread.
"""

from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from inference.errors import InputTooLarge, InvalidInput, RowsChanged
from inference.values import Array, Features, Payload, Prediction, Tensors

if TYPE_CHECKING:
    from inference.store.bundle import Bundle


class Processor(Protocol):
    """The task's half of a prediction."""

    media_types: tuple[str, ...]
    """The media types of a raw body, the preferred one first; empty where only JSON will do."""
    summary_features: tuple[str, ...]
    """The features that `summarise` measures."""

    @classmethod
    def from_bundle(cls, bundle: "Bundle") -> Self:
        """Build from the manifest and the files that it lists."""
        ...

    decodes_larger: bool
    """Whether decoding may take much more memory than the payload; else `decoding_bytes` is always 0."""

    def decoding_bytes(self, payload: Payload) -> int:
        """Bytes that `decode` takes beside the payload's own, at most, while it runs; 0 for one that is refused."""
        ...

    def decode(self, payload: Payload) -> Any:
        """The instance as this task sees it (an image, a text, a history); `InvalidInput` names the fault."""
        ...

    def preprocess(self, decoded: Any) -> Features:
        """One row of tensors, first axis 1."""
        ...

    def check(self, tensors: Tensors) -> None:
        """Refuse a client's own tensors that `preprocess` would never make; `InvalidInput` names which."""
        ...

    def bucket(self, tensors: Tensors) -> Hashable:
        """Rows of equal buckets may share a batch."""
        ...

    def collate(self, parts: Sequence[Tensors]) -> Tensors:
        """One batch from the rows of several requests, in their order; pads where lengths differ."""
        ...

    def split(self, outputs: Tensors, sizes: Sequence[int]) -> list[Tensors]:
        """Each request's rows again, `sizes[i]` of them for the i-th."""
        ...

    def postprocess(self, outputs: Tensors, context: Any) -> Prediction:
        """The answer for one row (first axis 1); `context` is the one in `preprocess`'s features."""
        ...

    def summarise(self, features: Features, outputs: Tensors) -> dict[str, Array]:
        """The summary features that drift is measured on, one number a row [rows] of each.

        `context` is None for tensors that came as they are; a feature that only it tells is then left out.
        """
        ...


class StackingProcessor:
    """Bucket, collate and split for rows of one shape: concatenate, and slice without a copy."""

    summary_features: tuple[str, ...] = ()
    decodes_larger: bool = False

    def decoding_bytes(self, payload: Payload) -> int:
        """Nothing worth counting."""
        return 0

    def check(self, tensors: Tensors) -> None:
        """Nothing: shape and type are all that there is to know of them."""

    def bucket(self, tensors: Tensors) -> Hashable:
        """The shape of a row: rows of one shape may be concatenated."""
        return tuple([array.shape[1:] for array in tensors.values()])

    def collate(self, parts: Sequence[Tensors]) -> Tensors:
        """Concatenate along the batch axis; a single part is passed on as it is."""
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def split(self, outputs: Tensors, sizes: Sequence[int]) -> list[Tensors]:
        """Views of each request's rows; `RowsChanged` where there are not as many as went in."""
        if len(sizes) == 1:
            return [outputs]
        ends = list(accumulate(sizes))
        for name, array in outputs.items():
            if array.shape[:1] != (ends[-1],):
                raise RowsChanged(name, array.shape, ends[-1])
        return [
            {name: array[end - size : end] for name, array in outputs.items()}
            for size, end in zip(sizes, ends, strict=True)
        ]

    def summarise(self, features: Features, outputs: Tensors) -> dict[str, Array]:
        """Nothing, unless the task has summary features."""
        return {}


def check_ids(ids: Array, name: str, limit: int) -> None:
    """Refuse int64 ids that are not below `limit`, or are below 0; a graph would answer with another row of its table.

    One look at all of them: read without its sign a negative number is the largest.
    """
    if ids.view(np.uint64).max(initial=0) >= limit:
        place = np.argwhere(ids.view(np.uint64) >= limit)[0].tolist()
        raise InvalidInput(f"{name}{place}", int(ids[tuple(place)]), f"an id from 0 to {limit - 1}")


def check_length(rows: Array, name: str, most: int) -> None:
    """Refuse rows [rows, length] that are empty, or longer than the processor's own."""
    length = rows.shape[1]
    if length == 0:
        raise InvalidInput(name, f"shape {list(rows.shape)}", "at least one id in a row")
    if length > most:
        raise InputTooLarge(name, f"rows of {length} ids", f"at most {most}")
