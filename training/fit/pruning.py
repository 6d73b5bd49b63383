"""Magnitude pruning: the smallest weights become zero, step by step, and the others learn to do without them.

It follows the fit, from its best weights, as a shorter fit in a folder of its own, and resumes like the first. The
share of zeros rises as a cubic over the first half of it (Zhu & Gupta 2017, arXiv:1710.01878); the best epoch is one
of the second half. The rate falls from its peak once more, which recovers more than staying low (Renda, Frankle &
Carbin 2020, arXiv:2003.02389). The pruned weights are accepted only inside a stated budget on validation.

A graph stores zeros like other numbers: it neither shrinks nor runs faster by itself, and the manifest says so.
Only its compressed form shrinks.
"""

from typing import Any

from training.config import TrainConfig
from training.fit.checkpoint import load_weights
from training.fit.processes import processes
from training.fit.train import FitResult, build_model, fit_model
from training.fit.zeros import Pruner
from training.run import RunFiles
from training.tasks.base import TaskData


def prune(config: TrainConfig, files: RunFiles, data: TaskData[Any]) -> FitResult:
    """Fine-tune the best weights while they are pruned; the run's `pruned` folder holds the result."""
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
