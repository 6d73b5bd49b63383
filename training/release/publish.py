"""Making a bundle: first a candidate to be evaluated, then the published one, whole or not at all.

A bundle is written into a hidden folder beside its destination, the manifest last, proved by opening it,
and renamed. An existing version is never touched.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from inference.manifest import Company, DistilledFrom, Graph, Manifest, Parity, Pruning
from inference.options import Precision
from inference.predictor import Predictor
from inference.proving.golden import Golden
from inference.runtime.session import OrtSession
from inference.store.bundle import file_record
from inference.store.located import GOLDEN_FILE, GRAPH_FILE, MANIFEST_FILE
from inference.store.publishing import staged_folder
from inference.store.reference import REFERENCE_FILE
from inference.store.repository import ModelRepository
from training.config import TrainConfig
from training.errors import RunError
from training.evaluate.report import Report
from training.fit.train import FitResult
from training.release.card import add_int8, add_pruning, write_card
from training.release.golden import golden_files, golden_tolerance
from training.release.provenance import provenance
from training.release.quantize import Quantization
from training.run import RunFiles, removed_on_error
from training.tasks.base import Task, TaskData

MAX_BATCH_SIZE = 256
"""Rows in one run: above this a CPU gains nothing, and a request waits too long."""

INT8_GRAPH_FILE = "model.int8.onnx"


@dataclass(frozen=True)
class Artifacts:
    """The artifacts of the steps before publishing; `int8` is a graph only where one was accepted."""

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
    teacher: DistilledFrom | None = None


def make_candidate(artifacts: Artifacts, deployed: nn.Module, repository: Path) -> Path:
    """The bundle without its evaluation, version 1 of a repository of its own; returns its folder."""
    target = repository / artifacts.config.bundle_name / "1"
    shutil.rmtree(target, ignore_errors=True)
    with removed_on_error(target):
        _fill(target, artifacts, deployed)
    return target


def _fill(target: Path, artifacts: Artifacts, deployed: nn.Module) -> None:
    target.mkdir(parents=True)
    contents = {GRAPH_FILE: artifacts.graph.read_bytes(), **artifacts.task.files(artifacts.data)}
    contents |= golden_files(artifacts.task, artifacts.data, deployed)
    if artifacts.int8 is not None:
        contents[INT8_GRAPH_FILE] = artifacts.int8.read_bytes()
    _write(target, contents)
    _write_manifest(target, artifacts, version=1, reports={})
    if artifacts.int8 is not None:
        _tolerate_int8(target)
        _write_manifest(target, artifacts, version=1, reports={})


def _tolerate_int8(candidate: Path) -> None:
    """Add int8's tolerance to the golden examples, measured through this very bundle."""
    predictor = Predictor.open(candidate, "int8", prove=False)
    golden = Golden.read(predictor.bundle)
    tolerances = {**golden.tolerances, "int8": golden_tolerance(predictor)}
    (candidate / GOLDEN_FILE).write_text(
        golden.model_copy(update={"tolerances": tolerances}).model_dump_json(indent=1)
    )
    (candidate / MANIFEST_FILE).unlink()  # its digests are of the files before


def publish(
    artifacts: Artifacts, candidate: Path, reports: Mapping[Precision, Report], files: RunFiles
) -> Path:
    """The candidate with reference, evaluations, card and plots, as the next (or the configured) version."""
    config, report = artifacts.config, reports["fp32"]
    versions = ModelRepository(config.models).versions(config.bundle_name)
    version = config.version or max(versions, default=0) + 1
    with staged_version(config.models, config.bundle_name, version) as staged:
        shutil.copytree(candidate, staged)
        (staged / MANIFEST_FILE).unlink()
        for plot in (files.curves, *(files.plots / name for name in report.pictures)):
            shutil.copy(plot, staged / plot.name)
        shutil.copy(files.reference, staged / REFERENCE_FILE)
        write_card(staged / "card.md", config, artifacts.data, artifacts.fitted, report, artifacts.teacher)
        if artifacts.pruning is not None:
            add_pruning(staged / "card.md", artifacts.pruning)
        if artifacts.quantization is not None:
            add_int8(staged / "card.md", artifacts.quantization, reports)
        _write_manifest(staged, artifacts, version, reports)
        for precision in reports:
            Predictor.open(staged, precision)
    return config.models / config.bundle_name / str(version)


@contextmanager
def staged_version(models: Path, name: str, version: int) -> Iterator[Path]:
    """A hidden folder to make a bundle in, as `staged_folder` gives it; `RunError` where it cannot be published."""
    try:
        with staged_folder(models, name, version) as staged:
            yield staged
    except FileExistsError as error:
        raise RunError(str(error)) from error
    except OSError as error:
        raise RunError(f"cannot publish {models / name / str(version)}: {error}") from error


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _graphs(artifacts: Artifacts, reports: Mapping[Precision, Report]) -> dict[Precision, Graph]:
    found = {precision: report.evaluation for precision, report in reports.items()}
    graphs: dict[Precision, Graph] = {
        "fp32": Graph(file=GRAPH_FILE, evaluation=found.get("fp32"), company=artifacts.company)
    }
    if artifacts.quantization is not None and (trial := artifacts.quantization.accepted) is not None:
        graphs["int8"] = Graph(
            file=INT8_GRAPH_FILE,
            evaluation=found.get("int8"),
            latency_ratio=trial.latency_ratio,
            company=trial.company,
        )
    return graphs


def _write_manifest(
    folder: Path, artifacts: Artifacts, version: int, reports: Mapping[Precision, Report]
) -> None:
    config, report = artifacts.config, reports.get("fp32")
    int8 = artifacts.quantization.accepted if artifacts.quantization else None
    session = OrtSession(folder / GRAPH_FILE, folder)
    listed = sorted(file for file in folder.rglob("*") if file.is_file())
    manifest = Manifest(
        name=config.bundle_name,
        version=version,
        task=artifacts.task.manifest_task,
        description=f"{config.arch} for {config.task}, trained on {artifacts.data.source.name}",
        architecture=config.arch,
        created=datetime.now(UTC).replace(microsecond=0),
        inputs=session.inputs,
        outputs=session.outputs,
        max_batch_size=MAX_BATCH_SIZE,
        processor=artifacts.task.processor(config, artifacts.data),
        graphs=_graphs(artifacts, reports),
        serve="int8" if int8 is not None and int8.faster else "fp32",
        calibration=report.calibration if report else None,
        conformal=report.conformal if report else None,
        out_of_distribution=report.out_of_distribution if report else None,
        parity=artifacts.parity,
        pruning=artifacts.pruning,
        teacher=artifacts.teacher,
        data=artifacts.data.source,
        provenance=provenance(config, artifacts.fitted),
        files={file.relative_to(folder).as_posix(): file_record(file.read_bytes()) for file in listed},
    )
    (folder / MANIFEST_FILE).write_text(
        json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    )
