"""The proof that the exported graph computes the same as PyTorch, at the optimisation level it is deployed at.

Every output, several batch sizes, and each row alone against the same row in a batch. A mismatch has its
own error, which names the output, the actual and the expected value. And the proof that a graph's rows, of
whatever precision, do not see each other: each alone against the same in different company.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inference.manifest import Company, Parity
from inference.proving.independence import Stacks, confirm, mixes_by_design, prove
from inference.runtime.session import OPTIMIZATION, OrtSession
from inference.store.graph_file import GraphFile
from inference.values import Array, Tensors
from training.data.examples import as_arrays
from training.errors import TrainingError
from training.tasks.base import Task, TaskData

BATCH_SIZES = (1, 2, 3, 7, 16, 64)
"""One row, odd numbers and powers of two: kernels take another path for each."""
TOLERANCE = 1e-4
"""Largest |actual - expected| / max(1, |expected|): float32 sums in another order, some hundred roundings apart."""

COMPANY_ROWS, COMPANY_BATCH = 8, 64
"""Rows that are held against their own answers in company, and the largest batch that they are run in."""

Collate = Callable[[Sequence[int]], Mapping[str, Tensor]]
"""The model's inputs for some rows of a data set."""


class VerificationError(TrainingError):
    """The graph is not the trained model."""


class NamesDiffer(VerificationError):
    """The graph's inputs or outputs have other names than the task's."""


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
            actual = session.run(as_arrays(tensors))
            worst = max(
                worst, _compare(actual, torch_outputs(graph, tensors, outputs), f"batch {size}", ValuesDiffer)
            )
            single = {name: np.concatenate([alone[row][name] for row in chosen]) for name in outputs}
            worst_alone = max(
                worst_alone, _compare(actual, single, f"alone against batch {size}", BatchMatters)
            )
    return Parity(
        max_abs_diff=worst,
        max_batch_diff=worst_alone,
        tolerance=TOLERANCE,
        batch_sizes=BATCH_SIZES,
        rows=rows,
        optimization=OPTIMIZATION,
    )


def company_of(graph: Path, task: Task, data: TaskData[Any]) -> Company:
    """`prove_company` on rows spread over validation, beside the task's strangers, put together as it serves them."""
    places = np.linspace(0, len(data.validation) - 1, COMPANY_ROWS).astype(int)
    rows = [
        as_arrays(task.inputs(data.validation.batch(torch.tensor([place]), torch.Generator())))
        for place in dict.fromkeys(places.tolist())
    ]
    return prove_company(graph, rows, task.strangers(data), task)


def prove_company(
    graph: Path, rows: Sequence[Tensors], strangers: Sequence[Tensors], stacks: Stacks
) -> Company:
    """Run `rows`, of first axis 1, alone and together in different order, beside `strangers`, and in a large batch.

    `BatchMatters` says which output changed, or which operator looks at the whole batch by design.
    """
    if by_design := mixes_by_design(GraphFile.read(graph).ops):
        raise BatchMatters(by_design)
    session, everyone, worst = OrtSession(graph, graph), [*rows, *strangers], 0.0
    for proof in (
        prove(session, everyone, stacks, len(rows), must_differ=False),
        confirm(session, everyone, stacks, COMPANY_BATCH, len(rows)),
    ):
        if not proof.batched:
            raise BatchMatters(proof.reason)
        worst = max(worst, proof.worst)
    return Company(rows=len(rows), others=len(strangers), batch_size=COMPANY_BATCH, worst=worst)


def torch_outputs(
    graph: nn.Module, tensors: Mapping[str, Tensor], outputs: Sequence[str]
) -> dict[str, Array]:
    """PyTorch's outputs for the same inputs, by name."""
    with torch.inference_mode():
        values = graph(*tensors.values())
    return {name: value.numpy() for name, value in zip(outputs, values, strict=True)}


def _check_signature(session: OrtSession, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    for kind, specs, expected in (("inputs", session.inputs, inputs), ("outputs", session.outputs, outputs)):
        actual = [spec.name for spec in specs]
        if actual != list(expected):
            raise NamesDiffer(f"{kind}: the graph has {actual}, expected {list(expected)}")
        for spec in specs:
            if spec.shape[:1] != (-1,):
                raise AxesDiffer(f"{spec.name}: shape {list(spec.shape)}, expected a dynamic first axis")


def _compare(actual: Tensors, expected: Tensors, how: str, error: type[VerificationError]) -> float:
    """The largest difference; raises `error` where it is out of tolerance."""
    worst = 0.0
    for name, value in expected.items():
        found = actual[name]
        if found.shape != value.shape or found.dtype != value.dtype:
            raise ShapesDiffer(
                f"{name}, {how}: {found.dtype} {list(found.shape)}, expected {value.dtype} {list(value.shape)}"
            )
        if value.size == 0:
            continue
        apart = np.abs(found.astype(np.float64) - value.astype(np.float64))
        bad = ~(apart <= TOLERANCE * np.maximum(1, np.abs(value)))
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise error(
                f"{name}{list(where)}, {how}: {found[where]:.7g}, expected {value[where]:.7g} within {TOLERANCE:g}; "
                f"{int(bad.sum())} of {bad.size} values are out"
            )
        worst = max(worst, float(apart.max()))
    return worst
