"""Distillation: a published bundle teaches by its answers (Hinton, Vinyals & Dean 2015, arXiv:1503.02531).

The teacher is opened and proved as a server would, and runs in ONNX Runtime. It answers each training batch as
it was augmented, so that teacher and student look at the same inputs (Beyer et al. 2022, arXiv:2106.05237).
Augmentation leaves raw pixels or ids, as the graph takes them.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inference.configs import ImageConfig, ProcessorConfig, TextConfig
from inference.errors import BatonError
from inference.manifest import DistilledFrom
from inference.predictor import Predictor
from inference.runtime.session import SessionOptions
from inference.store.located import MANIFEST_FILE
from training.config import TrainConfig
from training.data.examples import Batch, as_arrays
from training.errors import ConfigError, RunError
from training.fit.processes import is_first
from training.lineage import newest_version, task_of
from training.run import RunFiles, atomic_write
from training.tasks.base import Task, TaskData

LIMITS = {"max_pixels", "max_characters", "max_length", "length_buckets"}
"""Parameters of a processor that change no input that both would take."""


class Teacher:
    """A bundle's fp32 graph, asked for logits."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def logits(self, inputs: Batch) -> Tensor:
        """The graph's inputs, on any device → float32 [n, classes], on the same."""
        (device,) = {tensor.device for tensor in inputs.values()}
        answers = self.predictor.session.run(as_arrays({name: t.cpu() for name, t in inputs.items()}))
        return torch.from_numpy(answers["logits"]).to(device)

    def record(self) -> DistilledFrom:
        """The account of it in the student's manifest."""
        bundle = self.predictor.bundle
        digest = hashlib.sha256((bundle.path / MANIFEST_FILE).read_bytes()).hexdigest()
        return DistilledFrom(name=bundle.manifest.name, version=bundle.manifest.version, digest=digest)


def open_teacher(config: TrainConfig, task: Task, data: TaskData[Any], files: RunFiles) -> Teacher:
    """The configured bundle, if it answers the same question about the same inputs; recorded in the run."""
    folder = newest_version(Path(config.teacher))
    try:
        predictor = Predictor.open(folder, "fp32", SessionOptions(threads=config.threads, device="auto"))
    except BatonError as error:
        raise ConfigError(f"teacher: {config.teacher} cannot be opened: {error}") from error
    if faults := disagreements(predictor, config, task, data):
        listed = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(f"teacher: {config.teacher} cannot teach this model\n{listed}")
    teacher = Teacher(predictor)
    found = teacher.record()
    if files.teacher.exists() and (before := read_teacher(files)) != found:
        raise RunError(f"{files.root}: the run was begun with the teacher {before}, now it is {found}")
    if is_first():
        atomic_write(files.teacher, found.model_dump_json())
    return teacher


def read_teacher(files: RunFiles) -> DistilledFrom | None:
    """The run's teacher, if it had one."""
    return DistilledFrom.model_validate_json(files.teacher.read_text()) if files.teacher.exists() else None


def disagreements(predictor: Predictor, config: TrainConfig, task: Task, data: TaskData[Any]) -> list[str]:
    """A line for each thing in which the teacher's question is another than the student's."""
    bundle = predictor.bundle
    if (found := task_of(bundle.manifest)) != task.name:
        return [f"task: it is {found}, expected {task.name}"]
    faults = []
    actual, expected = bundle.manifest.processor, task.processor(config, data)
    for key, value in _parameters(expected).items():
        if key not in LIMITS and (other := _parameters(actual).get(key)) != value:
            faults.append(f"processor, {key}: it has {other!r}, expected {value!r}")
    if isinstance(actual, TextConfig) and actual.max_length < config.max_length:
        faults.append(
            f"processor, max_length: it has {actual.max_length}, expected {config.max_length} or more"
        )
    for name, content in task.files(data).items():
        if (theirs := json.loads(bundle.read(name))) != json.loads(content):
            faults.append(f"{name}: it has others than the data; {_first(theirs)}")
    return faults


def _parameters(processor: ProcessorConfig) -> dict[str, Any]:
    return processor.model_dump() if isinstance(processor, ImageConfig | TextConfig) else {}


def _first(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}…"
