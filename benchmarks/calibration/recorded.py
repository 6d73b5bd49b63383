"""The logits of a shipped bundle over its test data, as the bundle gives them."""

from pathlib import Path

import numpy as np

from benchmarks.calibration.draws import Recorded, Rows
from inference.predictor import Predictor
from inference.store.repository import ModelRepository
from training.data.examples import BUNDLE_BATCH, Loader, as_arrays
from training.release.reference import config_of
from training.tasks.registry import find_task


def record(models: Path, name: str) -> Recorded:
    """The newest version's, in fp32; `BATON_DATA` says where the data are."""
    repository = ModelRepository(models)
    predictor = Predictor.open(repository.path(name, max(repository.versions(name))), "fp32", prove=False)
    config = config_of(predictor.bundle.manifest)
    task = find_task(config.task)
    logits, labels = [], []
    for batch in Loader(task.load(config).test, BUNDLE_BATCH, seed=0, training=False):
        logits.append(predictor.session.run(as_arrays(task.inputs(batch)))["logits"].astype(np.float64))
        labels.append(batch["label"].numpy())
    return Recorded(Rows(np.concatenate(logits), np.concatenate(labels)))
