"""Golden examples: real inputs with the outputs PyTorch gave, replayed before a model may answer.

`golden.json` lists them; the raw inputs lie beside it. They go through the same decoding and the same
session as any request, so they prove the whole line and not only the graph.
"""

from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from inference.configs import SOON, Line, Record
from inference.errors import GoldenMismatch, InferenceFailed, InvalidInput, ManifestInvalid, shorten
from inference.manifest import RelativePath
from inference.options import Precision
from inference.processors.base import Processor
from inference.runtime.messages import brief
from inference.runtime.session import Runs
from inference.store.bundle import Bundle
from inference.store.located import GOLDEN_FILE
from inference.values import Array, Payload, Tensors

MOST_TOLERANCE = 100.0
"""Of a logit or a score, which int8 may move: more would let any answer pass."""

_MOST_INPUT_BYTES = 1 << 28  # of the file of one example


class Tolerance(Record):
    """How far an output may be: |actual - expected| ≤ atol + rtol · |expected|."""

    atol: float = Field(ge=0, le=MOST_TOLERANCE)
    rtol: float = Field(ge=0, le=1)


class Example(Record):
    """One raw input, in a file (`media_type` says what it is) or as a JSON `instance`, and its outputs."""

    file: RelativePath | None = None
    media_type: Line | None = None
    instance: Any = None
    outputs: dict[Line, Any] = Field(
        min_length=1, max_length=4096, description="nested lists by output, without the batch axis"
    )

    @model_validator(mode="after")
    def _outputs_are_numbers(self) -> Self:
        for name, values in self.outputs.items():
            _numbers(values, name)
        return self

    def expected(self, name: str) -> Array:
        """The output of that name, float64 without the batch axis: so that a difference is not rounded itself."""
        return _numbers(self.outputs[name], name)


class Golden(Record):
    """The content of `golden.json`."""

    tolerances: dict[Precision, Tolerance]
    examples: Annotated[tuple[Example, ...], SOON] = Field(min_length=1, max_length=10_000)

    @classmethod
    def read(cls, bundle: Bundle) -> "Golden":
        """Read from the bundle; `ManifestInvalid` where it does not fit this schema."""
        return bundle.read_document(cls, GOLDEN_FILE)

    def tolerance(self, precision: Precision, bundle: Path) -> Tolerance:
        """Of that precision; `ManifestInvalid` where the bundle says none."""
        if precision not in self.tolerances:
            found = (
                f"got {', '.join(self.tolerances) or 'none'}, expected one of {precision}, which is served"
            )
            raise ManifestInvalid(bundle, f"{GOLDEN_FILE}: tolerances: {found}")
        return self.tolerances[precision]


def payload_of(bundle: Bundle, example: Example) -> Payload:
    """The example as a client would have sent it."""
    if example.file is None:
        return Payload(example.instance, field=GOLDEN_FILE)
    return Payload(bundle.read(example.file, _MOST_INPUT_BYTES), example.media_type, field=example.file)


def golden_rows(bundle: Bundle, processor: Processor, golden: Golden) -> list[Tensors]:
    """The examples as the graph takes them, each of first axis 1; `ManifestInvalid` for one that no client may send."""
    rows: list[Tensors] = []
    for place, example in enumerate(golden.examples):
        try:
            rows.append(processor.preprocess(processor.decode(payload_of(bundle, example))).tensors)
        except (InvalidInput, InferenceFailed) as error:
            raise ManifestInvalid(bundle.path, f"{GOLDEN_FILE}: examples.{place}: {error}") from error
    return rows


def replay(bundle: Bundle, processor: Processor, session: Runs, precision: Precision | None = None) -> int:
    """Run every example alone and all of them in one batch; the number of examples, or `GoldenMismatch`."""
    golden = Golden.read(bundle)
    tolerance = golden.tolerance(precision or bundle.manifest.serve, bundle.path)
    rows = golden_rows(bundle, processor, golden)
    # Alone first: a difference there is the graph's own, and one that only a batch shows is its neighbours'.
    for row, example in zip(rows, golden.examples, strict=True):
        _compare(bundle.path, example, _run(bundle.path, session, row), tolerance, "alone")
    if bundle.manifest.max_batch_size >= len(rows):
        batch = _run(bundle.path, session, processor.collate(rows))
        for outputs, example in zip(processor.split(batch, [1] * len(rows)), golden.examples, strict=True):
            _compare(bundle.path, example, outputs, tolerance, f"in a batch of {len(rows)}")
    return len(rows)


def _run(bundle: Path, session: Runs, row: Tensors) -> Tensors:
    try:
        return session.run(row)
    except InferenceFailed as error:
        raise GoldenMismatch(bundle, f"the graph does not run the golden examples: {brief(error)}") from error


def _numbers(values: Any, name: str) -> Array:
    """Nested lists as float64; ValueError where they are ragged, or hold anything but finite numbers."""
    try:
        array: Array = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"outputs.{name}: got lists of several lengths, expected one at each depth"
        ) from error
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise ValueError(f"outputs.{name}: got {shorten(values)}, expected finite numbers")
    return array.astype(np.float64)


def _compare(path: Path, example: Example, outputs: Tensors, tolerance: Tolerance, how: str) -> None:
    source = example.file or "an instance"
    for name in example.outputs:
        if name not in outputs:
            raise GoldenMismatch(path, f"{source}: got no output named {name}")
        expected = example.expected(name)
        try:
            actual = np.asarray(outputs[name][0], np.float64)
        except (ValueError, TypeError, IndexError) as error:
            raise GoldenMismatch(path, f"{source}: {name} is no row of numbers, expected some") from error
        if actual.shape != expected.shape:
            raise GoldenMismatch(
                path, f"{source}: {name} has shape {actual.shape}, expected {expected.shape}"
            )
        if not np.allclose(actual, expected, rtol=tolerance.rtol, atol=tolerance.atol):
            worst = int(np.argmax(np.abs(actual - expected)))
            raise GoldenMismatch(
                path,
                f"{source} {how}: {name}[{worst}] is {actual.flat[worst]:.6g}, expected {expected.flat[worst]:.6g} "
                f"within {tolerance.atol:g} + {tolerance.rtol:g} of it",
            )
