"""Inputs that a model is measured and warmed up with: golden ones, or some that its graph was found to take."""

from dataclasses import dataclass

import numpy as np

from inference.errors import InferenceFailed
from inference.processors.base import Processor
from inference.proving.golden import Golden, golden_rows, payload_of
from inference.proving.independence import COMPARED
from inference.proving.sample_inputs import find_rows, rows_like
from inference.runtime.session import OrtSession
from inference.store.bundle import Bundle
from inference.triton.warmup import warmup_tensors
from inference.values import Payload, Tensors
from serving.engine.timing import seconds_taken

# Preparing an input on the event loop keeps every other client waiting for so long at most; beyond it the
# hop to a worker thread is the smaller cost.
INLINE_PREPARE_S = 0.3e-3


@dataclass(frozen=True, slots=True)
class Example:
    """The golden payloads, or rows that the graph was found to take. `rows`: of first axis 1."""

    payloads: tuple[Payload, ...]
    rows: tuple[Tensors, ...]

    def batch(self, size: int) -> Tensors:
        """So many rows, the same again and again; they have one shape."""
        if size == 1:
            return self.rows[0]
        ordinary = self.rows[:COMPARED] if not self.payloads else self.rows
        picked = [ordinary[place % len(ordinary)] for place in range(size)]
        return {name: np.concatenate([row[name] for row in picked]) for name in picked[0]}

    def inline_bytes(self, processor: Processor) -> int:
        """The size up to which payloads may be prepared on the event loop: twice the examples', if quick."""
        if not self.payloads:
            return 0
        seconds = min(seconds_taken(lambda: [processor.preprocess(processor.decode(each)) for each in self.payloads])
                      for _ in range(3))  # fmt: skip
        if seconds / len(self.payloads) > INLINE_PREPARE_S:
            return 0
        return 2 * max(payload.size for payload in self.payloads)


def find_example(bundle: Bundle, processor: Processor, session: OrtSession) -> Example:
    """Real inputs where the bundle has them, else rows that the graph takes; `InferenceFailed` where there are none."""
    if bundle.derived:
        told = warmup_tensors(bundle.config, bundle.manifest.inputs, bundle.path)
        if told is not None:
            return _like(told, bundle, session)
        return Example((), find_rows(session.attempt, bundle.manifest.inputs, session.axes, session.metadata))
    golden = Golden.read(bundle)
    payloads = tuple(payload_of(bundle, example) for example in golden.examples)
    features = golden_rows(bundle, processor, golden)
    batch = processor.collate(features)  # of one length
    places = range(len(features))
    rows = tuple({name: array[at : at + 1] for name, array in batch.items()} for at in places)
    return Example(payloads, rows)


def _like(told: Tensors, bundle: Bundle, session: OrtSession) -> Example:
    """Rows like a sample request, or that itself where its first axis is its own or its numbers matter."""
    session.attempt(told)
    if not bundle.manifest.max_batch_size:
        return Example((), (told,))
    try:
        rows = rows_like(bundle.manifest.inputs, told)
        session.attempt(rows[0])
    except InferenceFailed:
        return Example((), ({name: array[:1] for name, array in told.items()},))
    return Example((), rows)
