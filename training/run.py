"""The directory of a run: which artefact each step leaves where, and which configuration it belongs to.

Names of files and folders are fixed: a run that an older version began is resumed by them.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from inference.errors import BatonError
from inference.options import Precision
from inference.processors.text import TOKENIZER_FILE
from inference.store.bundle import Bundle
from training.config import TrainConfig, default_of
from training.errors import ConfigError, RunError
from training.lineage import RUN_CONFIG, newest_version

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""The variables that number a process among those of one fit, the first that is set counts: as Lightning reads them."""

RESUMES = "the same command resumes the run, once that is mended"


@dataclass(frozen=True)
class RunFiles:
    """The paths of a run's files. A step whose artefact exists is finished, and is not done again."""

    root: Path

    @property
    def config(self) -> Path:
        """The settings that decide the weights."""
        return self.root / RUN_CONFIG

    @property
    def lock(self) -> Path:
        """Held by the process that trains; the file stays."""
        return self.root / ".lock"

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
    def outliers(self) -> Path:
        """The chosen outlier score with its statistics, and what it was chosen by."""
        return self.root / "outliers.pt"

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

    def report_of(self, precision: Precision) -> Path:
        """The figures of that precision's graph."""
        return self.report if precision == "fp32" else self.int8_report

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


def is_worker_rank() -> bool:
    """Whether this process was started to compute a share of another one's fits. The first one holds the lock."""
    return next((int(os.environ[name]) for name in RANKS if name in os.environ), 0) != 0


@contextmanager
def locked(files: RunFiles) -> Iterator[RunFiles]:
    """The run as this process's own: `RunError` at once where another trains in it. A process that dies frees it.

    A folder that is made for it, and is still empty at the end, is removed.
    """
    made = [one for one in (files.root, *files.root.parents) if not one.exists()]
    files.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(files.lock, blocking=False)
    try:
        with lock:
            yield files
    except Timeout:
        raise RunError(f"{files.root}: another process trains in it; wait, or give another --run") from None
    finally:
        if made and {entry.name for entry in files.root.iterdir()} <= {files.lock.name}:
            files.lock.unlink(missing_ok=True)
            for folder in made:
                with suppress(OSError):
                    folder.rmdir()


@contextmanager
def resumable(files: RunFiles) -> Iterator[None]:
    """`RunError` for a full disk and every other failure of the system; the steps that are done stay done."""
    try:
        yield
    except OSError as error:
        where = error.filename or files.root
        raise RunError(f"{where}: {error.strerror or error}; {RESUMES}") from error


@contextmanager
def removed_on_error(folder: Path) -> Iterator[None]:
    """A block that fails leaves no half of the folder, which may be why the disk is full."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def begin_run(config: TrainConfig, files: RunFiles) -> None:
    """Make the directory this configuration's own; called once its data were read: most faults are in them."""
    files.root.mkdir(parents=True, exist_ok=True)
    atomic_write(files.config, json.dumps(config.learned_from(), indent=2))


def already_published(config: TrainConfig, files: RunFiles) -> Path | None:
    """The bundle that this run became, if it is still there and where the configuration puts it."""
    if not files.published.exists():
        return None
    bundle = Path(json.loads(files.published.read_text())["bundle"])
    expected = config.models / config.bundle_name / (str(config.version) if config.version else bundle.name)
    return bundle if bundle == expected and bundle.is_dir() else None


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write all of the content or nothing: see `atomic_file`."""
    with atomic_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, renamed at the end: a reader finds the whole file or none.

    `RunError` where the disk is full or refuses; the part that was written is removed.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}; {RESUMES}") from error
    finally:
        partial.unlink(missing_ok=True)


def read_tokenizer_of(path: Path, setting: str) -> str:
    """The content of `tokenizer.json` of a text bundle, or of the candidate in a finished run."""
    candidates = sorted(RunFiles(path).candidates.glob("*/1"))
    try:
        bundle = Bundle.open(candidates[0] if candidates else newest_version(path))
        return bundle.read(TOKENIZER_FILE).decode()
    except (BatonError, KeyError) as error:
        raise ConfigError(f"{setting}: {path} has no tokenizer to take over: {error}") from error
