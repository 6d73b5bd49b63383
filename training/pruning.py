"""Magnitude pruning: the smallest weights become zero, step by step, and the others learn to do without them.

It follows the fit, from its best weights, as a shorter fit in a folder of its own that resumes as the first
does. The share of zeros rises as a cubic over the first half of it (Zhu & Gupta 2017, arXiv:1710.01878); the
best epoch is one of the second half. The rate falls from its peak once more, which recovers more than staying
low (Renda, Frankle & Carbin 2020, arXiv:2003.02389). The pruned weights are taken only inside a stated
budget on validation.

A graph stores zeros like other numbers: it neither shrinks nor runs faster by itself, and the manifest says so.
What shrinks is its compressed form.
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
from inference.session import OrtSession
from training.checkpoint import load_weights
from training.config import TrainConfig
from training.export import export
from training.processes import processes
from training.quantize import latency_ratio
from training.run import RunFiles, write_whole
from training.tasks.base import Task, TaskData
from training.train import FitResult, build_model, fit_model
from training.verify import as_arrays
from training.zeros import Pruner


def prune(config: TrainConfig, files: RunFiles, data: TaskData[Any]) -> FitResult:
    """Fine-tune the best weights while they are pruned; what came of it lies in the run's `pruned` folder."""
    short = config.model_copy(
        update={
            "epochs": config.prune_epochs,
            "schedule": "cosine",
            "warmup": 0.0,
            "ema": 0.0,  # an average of weights before and after they were cut is not zero
            "patience": 0,
            "freeze_epochs": 0,
        }
    )
    model = load_weights(build_model(config, data), files.best).train()
    steps = config.prune_epochs * (len(data.train) // (config.batch_size * processes(config).all))
    return fit_model(short, files.pruned, data, model, pruner=Pruner(config.prune, steps // 2))


def inside_budget(config: TrainConfig, mode: str, dense: FitResult, pruned: FitResult) -> bool:
    """Whether the pruned weights lose no more of the validation metric than the budget, in points (hundredths)."""
    lost = 100 * (dense.score - pruned.score if mode == "max" else pruned.score - dense.score)
    return lost <= config.prune_budget


def judge(
    config: TrainConfig,
    task: Task,
    data: TaskData[Any],
    files: RunFiles,
    fits: tuple[FitResult, FitResult],
    dense: nn.Module,
) -> Pruning:
    """What pruning cost on validation and, if it was accepted, what the graph in `files` has of it.

    fits: the dense one and the pruned one. dense: the dense model as it would be deployed, to compare with.
    """
    if not files.pruning.exists():
        accepted = inside_budget(config, task.monitor.mode, *fits)
        record = Pruning(
            share=config.prune,
            metric=task.monitor.metric,
            dense_score=fits[0].score,
            score=fits[1].score,
            budget=config.prune_budget,
            accepted=accepted,
            **(_beside_dense(task, data, files, dense) if accepted else {}),
        )
        write_whole(files.pruning, record.model_dump_json(indent=1))
    return Pruning.model_validate_json(files.pruning.read_text())


def describe(pruning: Pruning) -> str:
    """One line: the score beside the dense one, what is zero, the compressed size, the speed, or why not."""
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
    export(dense, inputs(0, 1), task.outputs, before, task.axes)
    pruned, whole = (OrtSession(graph.read_bytes(), graph) for graph in (files.graph, before))
    return {
        "sparsity": sparsity(files.graph),
        "compressed_size": len(zlib.compress(files.graph.read_bytes())),
        "dense_compressed_size": len(zlib.compress(before.read_bytes())),
        "latency_ratio": latency_ratio(pruned, whole, as_arrays(inputs(0))),
    }


def sparsity(graph: Path) -> float:
    """Share of zeros among the graph's weights of two axes or more."""
    arrays = [numpy_helper.to_array(one) for one in onnx.load(graph).graph.initializer]
    weights = [array for array in arrays if array.ndim > 1 and array.dtype == np.float32]
    return sum(int((array == 0).sum()) for array in weights) / sum(array.size for array in weights)
