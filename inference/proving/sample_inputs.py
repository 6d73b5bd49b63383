"""Inputs for a graph that does not describe them: tried until one runs, small and plain ones first.

The meaning of a dynamic axis is unknown: a detector takes sides that are multiples of 32, a voice detector 512
samples, a table ids that it has. One size is tried for each axis that the graph names alike, first those that the
file's own metadata name, and for whole numbers a few ranges. An input that runs is no proof that clients send such
shapes; the graph is measured and proved with it until a request comes.
"""

import ast
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product, zip_longest

from inference.errors import InferenceFailed
from inference.manifest import TensorSpec
from inference.proving.sample_values import NUMBERS, WORDS, Guess, make_rows
from inference.runtime.messages import brief
from inference.values import DataType, Tensors

Axes = tuple[int | str | None, ...]
"""A shape as ONNX Runtime tells it: numbers, names of symbols, and None for an axis without a name."""

# Ranks for an input that says nothing of its shape.
RANKS: tuple[Axes, ...] = ((None, None), (None,), (), (None, None, None, None))

# The sides of images (two neighbouring axes of a tensor of rank 4), and lengths of anything else. Networks halve
# sides five times, so multiples of 32 come first; a small one may be too small for a kernel.
SIDES = (224, 64, 256, 320, 640, 512, 32, 128, 48, 16, 1)
LENGTHS = (16, 32, 64, 8, 128, 256, 512, 576, 2, 1, 80, 1024)
# Whole numbers from … up to, but not including, …: ids of a small table, masks, zeros, ones, then larger ids.
RANGES = ((0, 10), (0, 2), (0, 1), (1, 2), (9, 20), (100, 200))
# First axes for a graph that one row does not suit: it does not take batches then.
FIRST = (1, 2, 3, 4, 8, 16)
# A version is not ready while its inputs are looked for.
MOST_TRIES = 120
MOST_SECONDS = 3.0


def find_rows(
    run: Callable[[Tensors], object],
    inputs: Sequence[TensorSpec],
    axes: Mapping[str, Axes],
    metadata: Mapping[str, str],
    *,
    most_seconds: float = MOST_SECONDS,
) -> tuple[Tensors, ...]:
    """Different inputs that the graph runs, of first axis 1 where that can be; `InferenceFailed` where none was found.

    The first `COMPARED` are of ordinary size, the others are their company: see `inference.proving.independence.prove`.
    """
    until = time.perf_counter() + most_seconds
    axes = {spec.name: axes[spec.name] for spec in inputs if not spec.any_shape}
    unknown = [spec.name for spec in inputs if spec.any_shape]
    for tried, guess in enumerate(_guesses(inputs, axes, unknown, _sides_told(metadata)), start=1):
        try:
            rows = make_rows(inputs, guess)
            run(rows[0])
        except InferenceFailed as error:
            said = error
            if tried >= MOST_TRIES or time.perf_counter() > until:
                break
        else:
            return rows
    raise InferenceFailed(
        f"none of {tried} inputs of different sizes was taken; of the last it said: {brief(said)}"
    )


def rows_like(inputs: Sequence[TensorSpec], tensors: Tensors) -> tuple[Tensors, ...]:
    """Different rows of the shapes of a request that was answered, the values drawn from its own whole numbers.

    `InferenceFailed` where they would take too much memory.
    """
    shapes = {spec.name: (1, *tensors[spec.name].shape[1:]) for spec in inputs}
    whole = [array for array in tensors.values() if array.dtype.kind in "iu" and array.size]
    low = min((int(array.min()) for array in whole), default=0)
    high = max((int(array.max()) for array in whole), default=0) + 1
    return make_rows(inputs, Guess(shapes, low, high, NUMBERS))


def _guesses(
    inputs: Sequence[TensorSpec], axes: Mapping[str, Axes], unknown: Sequence[str], told: Sequence[int]
) -> Iterator[Guess]:
    """Every way, in the order of how far it is from the plainest: sizes and ranges advance together."""
    ranks = RANKS if unknown else RANKS[:1]
    several = [list(_shapes({**axes, **dict.fromkeys(unknown, rank)}, told)) for rank in ranks]
    shapes = [shape for group in zip_longest(*several) for shape in group if shape is not None]
    strings = any(spec.datatype is DataType.BYTES for spec in inputs)
    whole = any(spec.datatype.dtype.kind in "iu" for spec in inputs)
    values = list(product(RANGES if whole else RANGES[:1], (WORDS, NUMBERS) if strings else (WORDS,)))
    pairs = sorted(product(range(len(shapes)), range(len(values))), key=sum)
    for shape, value in pairs:
        (low, high), words = values[value]
        yield Guess(shapes[shape], low, high, words)


def _shapes(axes: Mapping[str, Axes], told: Sequence[int]) -> Iterator[dict[str, tuple[int, ...]]]:
    """Sizes for all axes: of images and of other things side by side, then with first axes other than 1."""
    seen: set[tuple[tuple[int, ...], ...]] = set()
    sides = tuple(dict.fromkeys((*told, *SIDES)))
    has_sides = any(_is_side(shape, place) for shape in axes.values() for place in range(len(shape)))
    steps = range(len(sides)) if has_sides else range(len(LENGTHS))
    for first, step, only_last in product(FIRST, steps, (False, True)):
        side, length = sides[step % len(sides)], LENGTHS[step % len(LENGTHS)]
        sizes = _by_symbol(axes, first, side, length)
        made = {
            name: tuple(
                _resolve(shape, place, sizes, name, only_last=only_last) for place in range(len(shape))
            )
            for name, shape in axes.items()
        }
        key = tuple(made.values())
        if key not in seen:
            seen.add(key)
            yield made


def _by_symbol(axes: Mapping[str, Axes], first: int, side: int, length: int) -> dict[str, int]:
    """One size for each symbol, by the first place where it stands."""
    sizes: dict[str, int] = {}
    for shape in axes.values():
        for place, axis in enumerate(shape):
            if isinstance(axis, str):
                sizes.setdefault(axis, first if place == 0 else side if _is_side(shape, place) else length)
    return {"": first, " side": side, " length": length, **sizes}


def _resolve(shape: Axes, place: int, sizes: Mapping[str, int], name: str, *, only_last: bool) -> int:
    axis = shape[place]
    if isinstance(axis, int):
        return axis
    if isinstance(axis, str):
        return sizes[axis]
    if place == 0:
        return sizes[""]
    if _is_side(shape, place):
        return sizes[" side"]
    # A state between two runs is [layers, batch, width]: of axes without a name only the last is a length then.
    return 1 if only_last and place < len(shape) - 1 else sizes[" length"]


def _is_side(shape: Axes, place: int) -> bool:
    """Whether an axis is a side of an image: [batch, channels, height, width] or [batch, height, width, channels]."""
    if len(shape) != 4 or place == 0 or isinstance(shape[place], int):
        return False
    return place >= 2 if shape[1] in (1, 3, 4) or not isinstance(shape[3], int) else place <= 2


def _sides_told(metadata: Mapping[str, str]) -> tuple[int, ...]:
    """Sides that the file's own metadata name: `imgsz` as Ultralytics writes it, `[640, 640]`, then its `stride`."""
    told: list[int] = []
    for key, factor in (("imgsz", 1), ("image_size", 1), ("input_size", 1), ("stride", 8)):
        text = metadata.get(key, "")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        numbers = value if isinstance(value, list | tuple) else [value]
        told += [factor * number for number in numbers if isinstance(number, int) and 0 < number <= 4096]
    return tuple(dict.fromkeys(told))
