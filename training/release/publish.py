"""Making a bundle: first a candidate to be evaluated, then the published one, whole or not at all.

A bundle is written into a hidden folder beside its destination, the manifest last, proved by opening it,
and renamed. An existing version is never touched.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from inference.manifest import Company, Graph, Manifest, Parity, Pruning, Taught
from inference.options import Precision
from inference.predictor import Predictor
from inference.proving.golden import Example, Golden, Tolerance
from inference.runtime.session import OrtSession
from inference.store.bundle import file_record
from inference.store.located import GOLDEN_FILE, GRAPH_FILE, MANIFEST_FILE
from inference.store.reference import REFERENCE_FILE
from inference.store.repository import ModelRepository
from training.config import TrainConfig
from training.errors import RunError
from training.evaluate.report import Report
from training.fit.train import FitResult
from training.release.card import add_int8, add_pruning, write_card
from training.release.provenance import provenance
from training.release.quantize import Quantization, golden_tolerance
from training.release.verify import torch_outputs
from training.run import RunFiles
from training.tasks.base import Task, TaskData

MAX_BATCH_SIZE = 256
"""Rows in one run; above this a CPU gains nothing and a request waits too long."""

GOLDEN_TOLERANCE = Tolerance(atol=5e-4, rtol=5e-4)
"""Wider than `verify`'s: other processors add in other orders."""

INT8_GRAPH_FILE = "model.int8.onnx"

SUFFIXES = {"image/png": "png", "text/plain": "txt", "application/json": "json"}


@dataclass(frozen=True)
class Made:
    """What the steps before publishing have made; `int8` is a graph only where one was accepted."""

    config: TrainConfig
    task: Task
    data: TaskData[Any]
    fitted: FitResult
    graph: Path
    parity: Parity
    company: Company
    quantization: Quantization | None = None
    int8: Path | None = None
    pruning: Pruning | None = None
    teacher: Taught | None = None


def make_candidate(made: Made, deployed: nn.Module, repository: Path) -> Path:
    """The bundle without its evaluation, version 1 of a repository of its own; returns its folder."""
    target = repository / made.config.bundle_name / "1"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    contents = {GRAPH_FILE: made.graph.read_bytes(), **made.task.files(made.data)}
    contents |= golden_files(made.task, made.data, deployed)
    if made.int8 is not None:
        contents[INT8_GRAPH_FILE] = made.int8.read_bytes()
    _write(target, contents)
    _write_manifest(target, made, version=1, reports={})
    if made.int8 is not None:
        _tolerate_int8(target)
        _write_manifest(target, made, version=1, reports={})
    return target


def _tolerate_int8(candidate: Path) -> None:
    """Add to the golden examples how far int8 may be from them, measured through this very bundle."""
    predictor = Predictor.open(candidate, "int8", prove=False)
    golden = Golden.read(predictor.bundle)
    tolerances = {**golden.tolerances, "int8": golden_tolerance(predictor)}
    (candidate / GOLDEN_FILE).write_text(
        golden.model_copy(update={"tolerances": tolerances}).model_dump_json(indent=1)
    )
    (candidate / MANIFEST_FILE).unlink()  # it lists the files as they were


def publish(made: Made, candidate: Path, reports: Mapping[Precision, Report], files: RunFiles) -> Path:
    """The candidate with reference, evaluations, card and pictures, as the next (or the configured) version."""
    config, report = made.config, reports["fp32"]
    versions = ModelRepository(config.models).versions(config.bundle_name)
    version = config.version or max(versions, default=0) + 1
    with staged_version(config.models, config.bundle_name, version) as staged:
        shutil.copytree(candidate, staged)
        (staged / MANIFEST_FILE).unlink()
        for picture in (files.curves, *(files.pictures / name for name in report.pictures)):
            shutil.copy(picture, staged / picture.name)
        shutil.copy(files.reference, staged / REFERENCE_FILE)
        write_card(staged / "card.md", config, made.data, made.fitted, report, made.teacher)
        if made.pruning is not None:
            add_pruning(staged / "card.md", made.pruning)
        if made.quantization is not None:
            add_int8(staged / "card.md", made.quantization, reports)
        _write_manifest(staged, made, version, reports)
        for precision in reports:
            Predictor.open(staged, precision)
    return config.models / config.bundle_name / str(version)


@contextmanager
def staged_version(models: Path, name: str, version: int) -> Iterator[Path]:
    """Where to make a bundle: what stands there at the block's end becomes `models/name/version` in one step.

    `RunError` where that version exists or the disk refuses; a block that raises leaves nothing behind.
    """
    target = models / name / str(version)
    if target.exists():
        raise RunError(f"{target} exists; a published version is never overwritten, choose another --version")
    target.parent.mkdir(parents=True, exist_ok=True)
    # The name of a bundle's folder is checked when it is opened, so the hidden one has the same shape.
    staging = models / f".publishing-{os.getpid()}"
    staged = staging / name / str(version)
    try:
        yield staged
        staged.rename(target)
    except OSError as error:
        raise RunError(f"cannot publish {target}: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


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


def _graphs(made: Made, reports: Mapping[Precision, Report]) -> dict[Precision, Graph]:
    found = {precision: report.evaluation for precision, report in reports.items()}
    graphs: dict[Precision, Graph] = {
        "fp32": Graph(file=GRAPH_FILE, evaluation=found.get("fp32"), company=made.company)
    }
    if made.quantization is not None and (trial := made.quantization.accepted) is not None:
        graphs["int8"] = Graph(
            file=INT8_GRAPH_FILE,
            evaluation=found.get("int8"),
            latency_ratio=trial.latency_ratio,
            company=trial.company,
        )
    return graphs


def _write_manifest(folder: Path, made: Made, version: int, reports: Mapping[Precision, Report]) -> None:
    config, report = made.config, reports.get("fp32")
    int8 = made.quantization.accepted if made.quantization else None
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
        graphs=_graphs(made, reports),
        serve="int8" if int8 is not None and int8.faster else "fp32",
        calibration=report.calibration if report else None,
        conformal=report.conformal if report else None,
        out_of_distribution=report.out_of_distribution if report else None,
        parity=made.parity,
        pruning=made.pruning,
        teacher=made.teacher,
        data=made.data.source,
        provenance=provenance(config, made.fitted),
        files={file.relative_to(folder).as_posix(): file_record(file.read_bytes()) for file in listed},
    )
    (folder / MANIFEST_FILE).write_text(
        json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    )
