"""The proof that the exported graph computes what PyTorch does, at the level it is deployed at.

Every output, several batch sizes, and each row alone against the same row in a batch. A mismatch has its
own error, which names the output, what was seen and what was wanted.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from inference.manifest import Parity
from inference.session import OPTIMIZATION, OrtSession
from inference.values import Array, Tensors
from training.errors import TrainingError

BATCH_SIZES = (1, 2, 3, 7, 16, 64)
TOLERANCE = 1e-4
"""Largest |seen - wanted| / max(1, |wanted|): float32 sums in another order, some hundred roundings apart."""

Collate = Callable[[Sequence[int]], Mapping[str, Tensor]]
"""The model's inputs for some rows of a data set."""


class VerificationError(TrainingError):
    """The graph is not what was trained."""


class NamesDiffer(VerificationError):
    """The graph's inputs or outputs are not called what they should be."""


class AxesDiffer(VerificationError):
    """The batch axis of an input or output is not dynamic."""


class ShapesDiffer(VerificationError):
    """An output has another shape or type than PyTorch's."""


class ValuesDiffer(VerificationError):
    """An output has other values than PyTorch's."""


class BatchMatters(VerificationError):
    """A row's output depends on which rows it was batched with."""


def verify(graph: nn.Module, onnx: Path, collate: Collate, outputs: Sequence[str], rows: int) -> Parity:
    """Compare on the first `rows` examples of `collate`, cut into every batch size in turn."""
    session = OrtSession(onnx.read_bytes(), onnx)
    _check_signature(session, list(collate([0])), outputs)
    graph = graph.eval()
    worst = worst_alone = 0.0
    alone = [session.run(as_arrays(collate([row]))) for row in range(rows)]
    for size in BATCH_SIZES:
        # A batch size larger than there are examples is filled by repeating them.
        for start in range(0, max(rows - size, 0) + 1, size):
            chosen = [(start + i) % rows for i in range(size)]
            tensors = collate(chosen)
            seen = session.run(as_arrays(tensors))
            worst = max(
                worst, _compare(seen, torch_outputs(graph, tensors, outputs), f"batch {size}", ValuesDiffer)
            )
            single = {name: np.concatenate([alone[row][name] for row in chosen]) for name in outputs}
            worst_alone = max(
                worst_alone, _compare(seen, single, f"alone against batch {size}", BatchMatters)
            )
    return Parity(
        max_abs_diff=worst,
        max_batch_diff=worst_alone,
        tolerance=TOLERANCE,
        batch_sizes=BATCH_SIZES,
        rows=rows,
        optimization=OPTIMIZATION,
    )


def torch_outputs(
    graph: nn.Module, tensors: Mapping[str, Tensor], outputs: Sequence[str]
) -> dict[str, Array]:
    """What PyTorch gives for the same inputs, by name."""
    with torch.inference_mode():
        values = graph(*tensors.values())
    return {name: value.numpy() for name, value in zip(outputs, values, strict=True)}


def as_arrays(tensors: Mapping[str, Tensor]) -> Tensors:
    """Tensors as ONNX Runtime takes them."""
    return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in tensors.items()}


def _check_signature(session: OrtSession, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    for kind, specs, wanted in (("inputs", session.inputs, inputs), ("outputs", session.outputs, outputs)):
        seen = [spec.name for spec in specs]
        if seen != list(wanted):
            raise NamesDiffer(f"{kind}: the graph has {seen}, wanted {list(wanted)}")
        for spec in specs:
            if spec.shape[:1] != (-1,):
                raise AxesDiffer(f"{spec.name}: shape {list(spec.shape)}, wanted a dynamic first axis")


def _compare(seen: Tensors, wanted: Tensors, how: str, error: type[VerificationError]) -> float:
    """The largest difference; raises `error` where it is out of tolerance."""
    worst = 0.0
    for name, value in wanted.items():
        found = seen[name]
        if found.shape != value.shape or found.dtype != value.dtype:
            raise ShapesDiffer(
                f"{name}, {how}: {found.dtype} {list(found.shape)}, wanted {value.dtype} {list(value.shape)}"
            )
        if value.size == 0:
            continue
        apart = np.abs(found.astype(np.float64) - value.astype(np.float64))
        bad = ~(apart <= TOLERANCE * np.maximum(1, np.abs(value)))
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise error(
                f"{name}{list(where)}, {how}: {found[where]:.7g}, wanted {value[where]:.7g} within {TOLERANCE:g}; "
                f"{int(bad.sum())} of {bad.size} values are out"
            )
        worst = max(worst, float(apart.max()))
    return worst
