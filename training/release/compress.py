"""Whether a pruned model is accepted: the cost of its zeros on validation, and their gain in the shipped graph.

`training.fit.pruning` makes the zeros; this module compares the result with the dense model.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from inference.manifest import Pruning
from inference.runtime.session import OrtSession
from training.architectures.outliers import OUTLIER_OUTPUT
from training.config import TrainConfig
from training.data.examples import as_arrays
from training.fit.train import FitResult
from training.release.export import export
from training.release.measure import latency_ratio
from training.release.outliers import ancestors
from training.run import RunFiles, atomic_write
from training.tasks.base import Task, TaskData, outputs_of


def inside_budget(config: TrainConfig, mode: str, dense: FitResult, pruned: FitResult) -> bool:
    """Whether the pruned weights lose no more of the validation metric than the budget, in points (hundredths)."""
    lost = 100 * (dense.score - pruned.score if mode == "max" else pruned.score - dense.score)
    return lost <= config.prune_budget


def compare_with_dense(
    config: TrainConfig,
    task: Task,
    data: TaskData[Any],
    files: RunFiles,
    fits: tuple[FitResult, FitResult],
    dense: nn.Module,
) -> Pruning:
    """The cost of pruning on validation and, if it was accepted, the gain in the graph of `files`.

    fits: the dense one and the pruned one. dense: the dense model as it would be deployed.
    """
    if not files.pruning.exists():
        accepted = inside_budget(config, task.monitor_for(config).mode, *fits)
        record = Pruning(
            share=config.prune,
            metric=task.monitor_for(config).metric,
            dense_score=fits[0].score,
            score=fits[1].score,
            budget=config.prune_budget,
            accepted=accepted,
            **(_beside_dense(task, data, files, dense) if accepted else {}),
        )
        atomic_write(files.pruning, record.model_dump_json(indent=1))
    return Pruning.model_validate_json(files.pruning.read_text())


def describe(pruning: Pruning) -> str:
    """One line: the score beside the dense one, the zeros, the compressed size and the speed, or the refusal."""
    line = (
        f"{pruning.share:.0%} of the weights: validation {pruning.metric.replace('_', ' ')} "
        f"{pruning.score:.4f} for {pruning.dense_score:.4f}"
    )
    if not (pruning.accepted and pruning.compressed_size and pruning.dense_compressed_size):
        return f"{line}: refused, the budget is {pruning.budget:g} points; the model is dense"
    return (
        f"{line}; {pruning.sparsity:.1%} of the graph's are zero, which compresses to "
        f"{pruning.compressed_size / pruning.dense_compressed_size:.2f} of the dense graph's size; "
        f"{pruning.latency_ratio:.2f} of its latency"
    )


def _beside_dense(task: Task, data: TaskData[Any], files: RunFiles, dense: nn.Module) -> dict[str, Any]:
    def inputs(*rows: int) -> dict[str, Tensor]:
        return task.inputs(data.validation.batch(torch.tensor(rows), torch.Generator()))

    before = files.pruned.graph
    export(dense, inputs(0, 1), outputs_of(task, dense), before, task.axes)
    pruned, whole = (OrtSession(graph.read_bytes(), graph) for graph in (files.graph, before))
    return {
        "sparsity": sparsity(files.graph),
        "compressed_size": len(zlib.compress(files.graph.read_bytes())),
        "dense_compressed_size": len(zlib.compress(before.read_bytes())),
        "latency_ratio": latency_ratio(pruned, whole, as_arrays(inputs(0))),
    }


def sparsity(graph: Path) -> float:
    """Share of zeros among the network's weights of two axes or more; those of its outlier score are none of it."""
    loaded = onnx.load(graph).graph
    needed = ancestors(loaded, [one.name for one in loaded.output if one.name != OUTLIER_OUTPUT])
    arrays = [numpy_helper.to_array(one) for one in loaded.initializer if one.name in needed]
    weights = [array for array in arrays if array.ndim > 1 and array.dtype == np.float32]
    return sum(int((array == 0).sum()) for array in weights) / sum(array.size for array in weights)
