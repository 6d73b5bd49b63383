"""A run's directory: its own configuration, whole files, and names that older runs have."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from training.config import TrainConfig, load_config
from training.errors import ConfigError, DataError, RunError
from training.run import RunFiles, atomic_write, begin_run, locked, open_run, read_tokenizer_of

ROOT = Path(__file__).parents[2]


def configure(root: Path, *more: str) -> TrainConfig:
    return load_config("vision", ("--data", "digits", "--arch", "mlp", "--run", str(root), *more))


NAMES = {
    "config": "config.json",
    "lock": ".lock",
    "split": "split.json",
    "skipped": "skipped.txt",
    "resume_point": "checkpoints/resume.ckpt",
    "best": "checkpoints/best.ckpt",
    "logs": "logs",
    "curves": "learning_curves.png",
    "rates": "learning_rate.png",
    "fit": "fit.json",
    "search": "search.json",
    "teacher": "teacher.json",
    "pruning": "pruning.json",
    "calibration": "calibration.json",
    "outliers": "outliers.pt",
    "graph": "model.onnx",
    "parity": "parity.json",
    "company": "company.json",
    "quantization": "quantization.json",
    "int8_graph": "model.int8.onnx",
    "candidates": "candidate",
    "reference": "reference.json",
    "report": "report.json",
    "int8_report": "report.int8.json",
    "plots": "pictures",
    "published": "published.json",
}


def test_files_have_the_names_by_which_older_runs_resume() -> None:
    files = RunFiles(Path("run"))
    own = {name for name, member in vars(RunFiles).items() if isinstance(member, property)}
    assert own == {*NAMES, "pruned"}
    assert {name: getattr(files, name).relative_to("run").as_posix() for name in NAMES} == NAMES
    assert files.pruned == RunFiles(Path("run/pruned"))
    assert (files.report_of("fp32"), files.report_of("int8")) == (files.report, files.int8_report)


def test_a_run_is_resumed_by_the_same_settings_and_refused_by_others(tmp_path: Path) -> None:
    config = configure(tmp_path)
    begin_run(config, open_run(config))
    assert open_run(config).root == tmp_path
    with pytest.raises(
        RunError, match=r"another configuration; .*\n  epochs: \d+, now 99\n  least_steps: \d+, now 0$"
    ):
        open_run(configure(tmp_path, "--epochs", "99"))
    with pytest.raises(RunError, match="already holds this run"):
        open_run(configure(tmp_path, "--no-resume"))


def test_a_setting_that_is_younger_than_the_run_had_its_default_then(tmp_path: Path) -> None:
    config = configure(tmp_path)
    begin_run(config, open_run(config))
    stored = json.loads((tmp_path / "config.json").read_text())
    del stored["prune"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    open_run(config)
    with pytest.raises(RunError, match=r"prune: 0\.0, now 0\.5"):
        open_run(configure(tmp_path, "--prune", "0.5"))


def test_opening_writes_nothing(tmp_path: Path) -> None:
    open_run(configure(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_write_that_fails_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fit.json"
    atomic_write(path, "old")
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["fit.json"]

    def full(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        RunError, match=r"fit\.json: cannot be written: disk full; the same command resumes the run"
    ):
        atomic_write(path, "newer")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["fit.json"]


def test_a_folder_without_a_tokenizer_is_refused_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"init_from: {tmp_path} has no tokenizer to take over"):
        read_tokenizer_of(tmp_path, "init_from")


def test_a_run_in_which_another_process_trains_is_refused_in_one_line(tmp_path: Path) -> None:
    files = RunFiles(tmp_path / "runs" / "one")
    code = f"""
from pathlib import Path
from training.run import RunFiles, locked
with locked(RunFiles(Path({str(files.root)!r}))):
    print("held", flush=True)
    input()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(RunError, match=r"one: another process trains in it; wait, or give another --run$"),
            locked(files),
        ):
            pass
        other.kill()  # which nobody can catch: the system frees the lock
    with locked(files):
        atomic_write(files.fit, "{}")
    assert files.fit.exists()


def test_a_run_that_wrote_nothing_leaves_no_folder(tmp_path: Path) -> None:
    files = RunFiles(tmp_path / "runs" / "one")
    with pytest.raises(DataError), locked(files):
        raise DataError("none")
    assert list(tmp_path.iterdir()) == []
