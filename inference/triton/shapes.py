"""Shapes of one tensor: as a `config.pbtxt` gives them, as clients see them, and as the graph has them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inference.manifest import TensorSpec
from inference.triton.config import TensorEntry
from inference.values import Array

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reshape:
    """From one shape to another with as many elements; both without the batch where there is one."""

    source: Shape
    target: Shape
    batched: bool

    def __call__(self, array: Array) -> Array:
        """The same elements; ValueError where they are not as many."""
        rows = array.shape[:1] if self.batched else ()
        sizes = array.shape[len(rows) :]
        free = (size for size, axis in zip(sizes, self.source, strict=False) if axis < 0)
        return array.reshape((*rows, *(next(free, -1) if axis < 0 else axis for axis in self.target)))


def shown_spec(spec: TensorSpec, entry: TensorEntry | None, *, batched: bool) -> TensorSpec:
    """The tensor as clients see it: the entry's dims where they say more than the graph."""
    if entry is None or not entry.dims:
        return spec
    dims = entry.dims
    if (
        spec.shape
        and not spec.any_shape
        and entry.reshape is None
        and not is_scalar(entry, spec, batched=batched)
    ):
        tail = spec.shape[1:] if batched else spec.shape
        dims = tuple(known if axis < 0 else axis for axis, known in zip(dims, tail, strict=True))
    return spec.model_copy(update={"shape": (-1, *dims) if batched else dims, "any_shape": False})


def graph_shapes(spec: TensorSpec, entry: TensorEntry, *, batched: bool) -> Iterator[Shape]:
    """The shape that the graph has where it is another than `dims`."""
    if entry.reshape is not None:
        yield entry.reshape
    elif is_scalar(entry, spec, batched=batched):
        yield ()


def is_scalar(entry: TensorEntry, spec: TensorSpec, *, batched: bool) -> bool:
    """Whether the entry is Triton's way to say a tensor without axes (but the batch): it has no other for it."""
    tail = spec.shape[1:] if batched else spec.shape
    return (
        not tail
        and not spec.any_shape
        and bool(entry.dims)
        and set(entry.dims) == {1}
        and entry.reshape is None
    )


def same_elements(dims: Shape, shape: Shape) -> bool:
    """As many elements between the axes that vary, so that each varying axis is carried over."""
    return _counts(dims) == _counts(shape)


def _counts(shape: Shape) -> list[int]:
    counts = [1]
    for axis in shape:
        if axis < 0:
            counts.append(1)
        else:
            counts[-1] *= axis
    return counts


def entry_of(entries: Sequence[TensorEntry], name: str) -> TensorEntry | None:
    return next((entry for entry in entries if entry.name == name), None)
