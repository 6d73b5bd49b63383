"""The reference that drift is measured against: summary features of inputs and predictions; and `baton reference`."""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import BatonError
from inference.manifest import Manifest
from inference.predictor import Predictor
from inference.store.bundle import Bundle, file_record
from inference.store.located import MANIFEST_FILE
from inference.store.reference import REFERENCE_FILE, Reference
from inference.store.repository import ModelRepository
from inference.store.signatures import SIGNATURE_FILE
from inference.values import Array
from training.config import TrainConfig, make_config
from training.data.examples import BUNDLE_BATCH
from training.errors import DataError, RunError, TrainingError
from training.release.publish import staged_version
from training.tasks.base import Task, TaskData
from training.tasks.registry import find_task

MAX_ROWS = 10_000
"""Validation rows of a reference at most: more would hardly move its quantiles."""


def make_reference(predictor: Predictor, task: Task, data: TaskData[Any]) -> Reference:
    """Send validation through the bundle, as clients would; summary features of its inputs and predictions."""
    rows = np.random.default_rng(0).permutation(len(data.validation))[:MAX_ROWS].tolist()
    payloads = [task.payload(data.validation, row) for row in rows]
    summaries = [
        predictor.processor.summarise(*exchange) for exchange in predictor.exchanges(payloads, BUNDLE_BATCH)
    ]
    features: dict[str, Array] = {
        name: np.concatenate([summary[name] for summary in summaries]) for name in summaries[0]
    }
    return Reference.of(features)


def add_reference(folder: Path, data_path: str = "") -> Path:
    """Publish the next version of a bundle, the same but for its reference; returns the new folder.

    The data are read as the manifest says that they were for the training, and must have the same digest.
    `data_path` says where they are, if the manifest's name does not.
    """
    predictor = Predictor.open(folder)
    manifest = predictor.bundle.manifest
    if predictor.reference is not None:
        raise RunError(f"{folder} has a {REFERENCE_FILE} already")
    config = config_of(manifest, data_path)
    task = find_task(config.task)
    data = task.load(config)
    if manifest.data is None or data.source.digest != manifest.data.digest:
        expected = manifest.data.digest if manifest.data else "one in the manifest"
        raise DataError(
            f"{data.source.name} has digest {data.source.digest}, expected {expected}, of the data it was trained on"
        )
    reference = make_reference(predictor, task, data)
    return _publish_next(predictor.bundle, reference)


def config_of(manifest: Manifest, data_path: str = "") -> TrainConfig:
    """The configuration that a bundle was trained with, from its own account of it."""
    if manifest.provenance is None:
        raise RunError(f"{manifest.name}/{manifest.version} does not say how it was trained")
    # A setting that is younger than the bundle had its default then; a removed one decides nothing here.
    known = {
        name: _unflatten(name, value)
        for name, value in manifest.provenance.config.items()
        if name in TrainConfig.model_fields
    }
    # The model that it started from may be gone, and decides no row.
    return make_config({**known, "init_from": "", **({"data": data_path} if data_path else {})})


def main(argv: Sequence[str]) -> int:
    """`baton reference BUNDLE`; 1 where the bundle or its data will not do, else 0."""
    parser = argparse.ArgumentParser(prog="baton reference", description=add_reference.__doc__)
    parser.add_argument("bundle", type=Path, help="models/<name>/<version>")
    parser.add_argument("--data", default="", help="where its data are; default: as the manifest names them")
    arguments = parser.parse_args(argv[1:] if argv[:1] == ["reference"] else argv)
    try:
        published = add_reference(arguments.bundle, arguments.data)
    except (TrainingError, BatonError) as error:
        print(f"baton reference: {error}", file=sys.stderr)
        return 1
    print(f"published {published}")
    return 0


def _unflatten(name: str, value: str | float | bool | None) -> Any:
    """Undo `training.release.provenance.flat_config`, which writes any but a scalar as JSON."""
    if not isinstance(value, str) or TrainConfig.model_fields[name].annotation is str:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value  # a plain word, such as the name of an optimiser


def _publish_next(bundle: Bundle, reference: Reference) -> Path:
    models, name = bundle.path.parent.parent, bundle.manifest.name
    version = max(ModelRepository(models).versions(name)) + 1
    content = reference.model_dump_json(indent=1).encode()
    files = {**bundle.manifest.files, REFERENCE_FILE: file_record(content)}
    changes: Mapping[str, Any] = {
        "version": version,
        "created": datetime.now(UTC).replace(microsecond=0),
        "description": f"{bundle.manifest.description}; version {bundle.manifest.version} with a reference",
        "files": files,
    }
    with staged_version(models, name, version) as staged:
        shutil.copytree(bundle.path, staged, ignore=shutil.ignore_patterns(MANIFEST_FILE, SIGNATURE_FILE))
        (staged / REFERENCE_FILE).write_bytes(content)
        manifest = bundle.manifest.model_copy(update=changes)
        (staged / MANIFEST_FILE).write_text(
            json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
        )
        Predictor.open(staged)
    return models / name / str(version)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
