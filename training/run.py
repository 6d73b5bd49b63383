"""The directory of a run: which artefact each step leaves where, and which configuration it belongs to.

Names of files and folders are fixed: a run that an older version began is resumed by them.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inference.errors import BatonError
from inference.processors.text import TOKENIZER_FILE
from inference.store.bundle import Bundle
from training.config import TrainConfig, default_of
from training.errors import ConfigError, RunError
from training.lineage import RUN_CONFIG, newest_version


@dataclass(frozen=True)
class RunFiles:
    """The paths of a run's files. A step whose artefact exists is finished, and is not done again."""

    root: Path

    @property
    def config(self) -> Path:
        """The settings that decide the weights."""
        return self.root / RUN_CONFIG

    @property
    def split(self) -> Path:
        """The rows held out as validation."""
        return self.root / "split.json"

    @property
    def skipped(self) -> Path:
        """A line for every example that was left out, and why."""
        return self.root / "skipped.txt"

    @property
    def resume_point(self) -> Path:
        """Everything that a killed fit needs to resume."""
        return self.root / "checkpoints" / "resume.ckpt"

    @property
    def best(self) -> Path:
        """The weights of the best epoch, or of the last if that is to be kept."""
        return self.root / "checkpoints" / "best.ckpt"

    @property
    def logs(self) -> Path:
        """CSV and TensorBoard logs, a version for each attempt."""
        return self.root / "logs"

    @property
    def curves(self) -> Path:
        """The plot of the learning curves."""
        return self.root / "learning_curves.png"

    @property
    def rates(self) -> Path:
        """The plot of the loss over the learning rate, written by `--find-rate` alone."""
        return self.root / "learning_rate.png"

    @property
    def fit(self) -> Path:
        """The `FitResult`; written when the fit is done."""
        return self.root / "fit.json"

    @property
    def search(self) -> Path:
        """The trials of `--search`, and the one that was chosen."""
        return self.root / "search.json"

    def trial(self, number: int) -> "RunFiles":
        """The files of one trial of `--search`, in a folder of the run."""
        return RunFiles(self.root / "search" / str(number))

    @property
    def teacher(self) -> Path:
        """The bundle that the model is distilled from, if any."""
        return self.root / "teacher.json"

    @property
    def pruned(self) -> "RunFiles":
        """The files of the fit of the pruned weights, in a folder of the run."""
        return RunFiles(self.root / "pruned")

    @property
    def pruning(self) -> Path:
        """Whether the pruned weights were accepted, with their cost and gain."""
        return self.root / "pruning.json"

    @property
    def calibration(self) -> Path:
        """Temperature and thresholds found on validation."""
        return self.root / "calibration.json"

    @property
    def graph(self) -> Path:
        """The exported graph."""
        return self.root / "model.onnx"

    @property
    def parity(self) -> Path:
        """The proof that the graph computes the same as PyTorch."""
        return self.root / "parity.json"

    @property
    def company(self) -> Path:
        """The proof that the graph's rows do not see each other."""
        return self.root / "company.json"

    @property
    def quantization(self) -> Path:
        """The int8 methods that were tried, with their results."""
        return self.root / "quantization.json"

    @property
    def int8_graph(self) -> Path:
        """The int8 graph, where one was accepted."""
        return self.root / "model.int8.onnx"

    @property
    def candidates(self) -> Path:
        """A model repository with one bundle: the one to evaluate."""
        return self.root / "candidate"

    @property
    def reference(self) -> Path:
        """Summary features of validation's inputs and predictions."""
        return self.root / "reference.json"

    @property
    def report(self) -> Path:
        """Figures on test, taken through the candidate."""
        return self.root / "report.json"

    @property
    def int8_report(self) -> Path:
        """The same figures of the int8 graph."""
        return self.root / "report.int8.json"

    @property
    def plots(self) -> Path:
        """Plots of the evaluation. Unfinished runs have them in a folder of the older name, which stays."""
        return self.root / "pictures"

    @property
    def published(self) -> Path:
        """The path of the published bundle."""
        return self.root / "published.json"


def open_run(config: TrainConfig) -> RunFiles:
    """The run's directory, if it is free or was started with the same configuration; nothing is written yet."""
    files = RunFiles(config.run_directory)
    expected = config.learned_from()
    if files.config.exists():
        started = json.loads(files.config.read_text())
        # A setting that is younger than the run had its default then.
        before = {key: started.get(key, default_of(key)) for key in expected}
        if differing := [key for key in expected if before[key] != expected[key]]:
            listed = "\n".join(f"  {key}: {before[key]!r}, now {expected[key]!r}" for key in differing)
            raise RunError(f"{files.root} holds a run of another configuration; give another --run\n{listed}")
        if not config.resume:
            raise RunError(f"{files.root} already holds this run; remove it to start over, or let it resume")
    return files


def begin_run(config: TrainConfig, files: RunFiles) -> None:
    """Make the directory this configuration's own; called once its data were read: most faults are in them."""
    files.root.mkdir(parents=True, exist_ok=True)
    atomic_write(files.config, json.dumps(config.learned_from(), indent=2))


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write all of the content or nothing: see `atomic_file`."""
    with atomic_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, renamed at the end: a reader finds the whole file or none."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    yield partial
    partial.replace(path)


def read_tokenizer_of(path: Path, setting: str) -> str:
    """The content of `tokenizer.json` of a text bundle, or of the candidate in a finished run."""
    candidates = sorted(RunFiles(path).candidates.glob("*/1"))
    try:
        bundle = Bundle.open(candidates[0] if candidates else newest_version(path))
        return bundle.read(TOKENIZER_FILE).decode()
    except (BatonError, KeyError) as error:
        raise ConfigError(f"{setting}: {path} has no tokenizer to take over: {error}") from error
