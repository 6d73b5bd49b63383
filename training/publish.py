"""Making a bundle: first a candidate to be evaluated, then the published one, whole or not at all.

A bundle is written into a hidden folder beside its destination, the manifest last, proved by opening it,
and renamed. An existing version is never touched.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from inference.bundle import GRAPH_FILE, MANIFEST_FILE, file_record
from inference.golden import GOLDEN_FILE, Example, Golden, Tolerance
from inference.manifest import Graph, Manifest, Parity
from inference.predictor import Predictor
from inference.repository import ModelRepository
from inference.session import OrtSession
from training.card import write_card
from training.config import TrainConfig
from training.errors import RunError
from training.provenance import provenance
from training.run import RunFiles
from training.tasks.base import Report, Task, TaskData
from training.train import FitResult
from training.verify import torch_outputs

MAX_BATCH_SIZE = 256
"""Rows in one run; above this a CPU gains nothing and a request waits too long."""

GOLDEN_TOLERANCE = Tolerance(atol=5e-4, rtol=5e-4)
"""Wider than `verify`'s: other processors add in other orders."""

SUFFIXES = {"image/png": "png", "text/plain": "txt", "application/json": "json"}


@dataclass(frozen=True)
class Made:
    """What the steps before publishing have made."""

    config: TrainConfig
    task: Task
    data: TaskData[Any]
    fitted: FitResult
    graph: Path
    parity: Parity


def make_candidate(made: Made, deployed: nn.Module, repository: Path) -> Path:
    """The bundle without its evaluation, version 1 of a repository of its own; returns its folder."""
    target = repository / made.config.bundle_name / "1"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    contents = {GRAPH_FILE: made.graph.read_bytes(), **made.task.files(made.data)}
    contents |= golden_files(made.task, made.data, deployed)
    _write(target, contents)
    _write_manifest(target, made, version=1, report=None)
    return target


def publish(made: Made, candidate: Path, report: Report, files: RunFiles) -> Path:
    """The candidate with evaluation, card and pictures, as the next (or the configured) version."""
    config = made.config
    folder = config.models / config.bundle_name
    versions = ModelRepository(config.models).versions(config.bundle_name)
    version = config.version or max(versions, default=0) + 1
    target = folder / str(version)
    if target.exists():
        raise RunError(f"{target} exists; a published version is never overwritten, choose another --version")
    folder.mkdir(parents=True, exist_ok=True)
    # The name of a bundle's folder is checked when it is opened, so the hidden one has the same shape.
    staging = config.models / f".publishing-{os.getpid()}"
    staged = staging / config.bundle_name / str(version)
    try:
        shutil.copytree(candidate, staged)
        (staged / MANIFEST_FILE).unlink()
        for picture in (files.curves, *(files.pictures / name for name in report.pictures)):
            shutil.copy(picture, staged / picture.name)
        write_card(staged / "card.md", made.config, made.data, made.fitted, report)
        _write_manifest(staged, made, version, report)
        Predictor.open(staged)
        staged.rename(target)
    except OSError as error:
        raise RunError(f"cannot publish {target}: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def golden_files(task: Task, data: TaskData[Any], deployed: nn.Module) -> dict[str, bytes]:
    """`golden.json` and the raw inputs it names: real validation examples with PyTorch's own outputs."""
    contents: dict[str, bytes] = {}
    examples = []
    for number, row in enumerate(task.golden_rows(data)):
        payload = task.payload(data.validation, row)
        tensors = task.inputs(_one(data.validation, row))
        outputs = {
            name: value[0].tolist() for name, value in torch_outputs(deployed, tensors, task.outputs).items()
        }
        if payload.media_type is None:
            examples.append(Example(instance=payload.data, outputs=outputs))
            continue
        name = f"golden/{number:02d}.{SUFFIXES[payload.media_type]}"
        contents[name] = bytes(payload.data)
        examples.append(Example(file=name, media_type=payload.media_type, outputs=outputs))
    golden = Golden(tolerances={"fp32": GOLDEN_TOLERANCE}, examples=tuple(examples))
    return {**contents, GOLDEN_FILE: golden.model_dump_json(indent=1).encode()}


def _one(examples: Any, row: int) -> Any:
    import torch

    return examples.batch(torch.tensor([row]), torch.Generator())


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _write_manifest(folder: Path, made: Made, version: int, report: Report | None) -> None:
    config = made.config
    session = OrtSession(folder / GRAPH_FILE, folder)
    listed = sorted(file for file in folder.rglob("*") if file.is_file())
    manifest = Manifest(
        name=config.bundle_name,
        version=version,
        task=config.task,
        description=f"{config.arch} for {config.task}, trained on {made.data.source.name}",
        architecture=config.arch,
        created=datetime.now(UTC).replace(microsecond=0),
        inputs=session.inputs,
        outputs=session.outputs,
        max_batch_size=MAX_BATCH_SIZE,
        processor=made.task.processor(config, made.data),
        graphs={"fp32": Graph(file=GRAPH_FILE, evaluation=report.evaluation if report else None)},
        serve="fp32",
        calibration=report.calibration if report else None,
        conformal=report.conformal if report else None,
        out_of_distribution=report.out_of_distribution if report else None,
        parity=made.parity,
        data=made.data.source,
        provenance=provenance(config, made.fitted),
        files={file.relative_to(folder).as_posix(): file_record(file.read_bytes()) for file in listed},
    )
    (folder / MANIFEST_FILE).write_text(
        json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    )
