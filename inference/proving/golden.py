"""Golden examples: real inputs with the outputs PyTorch gave, replayed before a model may answer.

`golden.json` lists them; the raw inputs lie beside it. They go through the same decoding and the same
session as any request, so they prove the whole line and not only the graph.
"""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from inference.configs import Record
from inference.errors import GoldenMismatch, ManifestInvalid
from inference.manifest import RelativePath
from inference.options import Precision
from inference.processors.base import Processor
from inference.runtime.session import Runs
from inference.store.bundle import Bundle
from inference.store.located import GOLDEN_FILE
from inference.values import Payload, Tensors


class Tolerance(Record):
    """How far an output may be: |actual - expected| ≤ atol + rtol · |expected|."""

    atol: float = Field(ge=0)
    rtol: float = Field(ge=0)


class Example(Record):
    """One raw input, in a file (`media_type` says what it is) or as a JSON `instance`, and its outputs."""

    file: RelativePath | None = None
    media_type: str | None = None
    instance: Any = None
    outputs: dict[str, Any] = Field(
        min_length=1, description="nested lists by output, without the batch axis"
    )


class Golden(Record):
    """The content of `golden.json`."""

    tolerances: dict[Precision, Tolerance]
    examples: tuple[Example, ...] = Field(min_length=1)

    @classmethod
    def read(cls, bundle: Bundle) -> "Golden":
        """Read from the bundle; `ManifestInvalid` where it does not fit this schema."""
        try:
            return cls.model_validate_json(bundle.read(GOLDEN_FILE))
        except ValidationError as error:
            raise ManifestInvalid(bundle.path, f"{GOLDEN_FILE}: {error}") from error


def payload_of(bundle: Bundle, example: Example) -> Payload:
    """The example as a client would have sent it."""
    if example.file is None:
        return Payload(example.instance, field=GOLDEN_FILE)
    return Payload(bundle.read(example.file), example.media_type, field=example.file)


def replay(bundle: Bundle, processor: Processor, session: Runs, precision: Precision | None = None) -> int:
    """Run every example alone and all of them in one batch; the number of examples, or `GoldenMismatch`."""
    golden = Golden.read(bundle)
    tolerance = golden.tolerances[precision or bundle.manifest.serve]
    rows = [
        processor.preprocess(processor.decode(payload_of(bundle, example))).tensors
        for example in golden.examples
    ]
    # Alone first: a difference there is the graph's own, and one that only a batch shows is its neighbours'.
    for row, example in zip(rows, golden.examples, strict=True):
        _compare(bundle.path, example, session.run(row), tolerance, "alone")
    if bundle.manifest.max_batch_size >= len(rows):
        batch = session.run(processor.collate(rows))
        for outputs, example in zip(processor.split(batch, [1] * len(rows)), golden.examples, strict=True):
            _compare(bundle.path, example, outputs, tolerance, f"in a batch of {len(rows)}")
    return len(rows)


def _compare(path: Path, example: Example, outputs: Tensors, tolerance: Tolerance, how: str) -> None:
    source = example.file or "an instance"
    for name, expected_list in example.outputs.items():
        if name not in outputs:
            raise GoldenMismatch(path, f"{source}: got no output named {name}")
        # In float64, so that the difference is not rounded itself.
        actual, expected = np.asarray(outputs[name][0], np.float64), np.asarray(expected_list, np.float64)
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
