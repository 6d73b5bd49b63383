"""The whole line on the embedded digits: from data to a bundle that answers, and what it refuses."""

import json
import resource
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from inference.errors import GoldenMismatch
from inference.predictor import Predictor
from inference.store.bundle import Bundle
from tests.training.fixed import FIXED
from training.architectures.outliers import Energy
from training.config import TrainConfig, load_config
from training.data import splits
from training.errors import ConfigError, DataError, RunError
from training.evaluate.calibrate import Calibrated
from training.evaluate.outliers import OutlierChoice
from training.pipeline import by_model, choose_outliers, train
from training.run import RunFiles, open_run
from training.tasks.registry import find_task
from training.tasks.vision import VisionTask

FLAGS = ("--data", "digits", "--arch", "mlp", "--name", "digits", "--epochs", "2", "--batch-size", "64")
# Without the baseline, which is above two epochs.
PINNED = (
    *FIXED,
    *("--learning-rate", "1e-3", "--weight-decay", "0.01", "--warmup", "0.05", "--label-smoothing", "0"),
)

RECORDED_SCORE, RECORDED_LOSS = 0.8958, 0.4360


def configure(root: Path, *more: str) -> TrainConfig:
    flags = (*FLAGS, *PINNED, "--models", str(root / "models"), "--run", str(root / "run"), *more)
    return load_config("vision", flags)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its published bundle."""
    path = tmp_path_factory.mktemp("pipeline")
    assert train(configure(path)) == path / "models" / "digits" / "1"
    return path


def manifest_of(root: Path, version: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (root / "models" / "digits" / str(version) / "manifest.json").read_text()
    )
    return found


def test_rows_apart_choose_no_epoch_and_give_the_sets_by_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A score of the epoch that stood on the other rows, too, would be in steps of a 431st."""
    monkeypatch.setattr(splits, "LEAST_DIVIDED_ROWS", 100)
    train(
        configure(
            tmp_path, "--epochs", "1", "--validation", "0.3", "--coverage-by", "class", "--quantize", "off"
        )
    )
    score = json.loads((tmp_path / "run" / "fit.json").read_text())["score"]
    assert score * 216 == pytest.approx(round(score * 216), abs=1e-3)
    sets = manifest_of(tmp_path)["conformal"]
    assert (sets["rows"], sets["apart"], sets["by"]) == (215, True, "class")
    assert [len(quantiles) for quantiles in sets["class_quantiles"].values()] == [10, 10, 10]
    card = (tmp_path / "models" / "digits" / "1" / "card.md").read_text()
    assert "215 calibration rows that chose nothing" in card


def test_seeded_short_run_has_the_recorded_score_and_loss(root: Path) -> None:
    fitted = json.loads((root / "run" / "fit.json").read_text())
    assert fitted["score"] == pytest.approx(RECORDED_SCORE, abs=0.01)
    rows = (root / "run" / "logs" / "csv" / "version_0" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("val/loss")
    last = [row.split(",")[column] for row in rows[1:] if row.split(",")[column]][-1]
    assert float(last) == pytest.approx(RECORDED_LOSS, rel=0.02)


def test_published_bundle_answers_as_its_manifest_says(root: Path) -> None:
    config = configure(root)
    task = find_task("vision")
    data = task.load(config)
    predictor = Predictor.open(root / "models" / "digits" / "1", "fp32")
    answers = list(predictor.predict([task.payload(data.test, row) for row in range(len(data.test))]))
    truth = [str(label) for label in data.test.labels.tolist()]
    right = np.mean([answer["label"] == label for answer, label in zip(answers, truth, strict=True)])
    assert right == pytest.approx(manifest_of(root)["graphs"]["fp32"]["evaluation"]["metrics"]["accuracy"])
    assert right > 0.85


def test_pixels_of_a_golden_example_are_those_it_was_trained_on(root: Path) -> None:
    """No skew: raw input → the bundle's processor → the validation row's own bytes."""
    task = find_task("vision")
    data = task.load(configure(root))
    predictor = Predictor.open(root / "models" / "digits" / "1")
    for row in task.golden_rows(data):
        decoded = predictor.processor.decode(task.payload(data.validation, row))
        seen = predictor.processor.preprocess(decoded).tensors["image"]
        assert (seen[0] == data.validation.pixels[row].numpy()).all()


def test_model_below_its_baseline_is_published_by_force_alone(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "run", tmp_path / "run")
    RunFiles(tmp_path / "run").published.unlink()
    config = configure(tmp_path).model_copy(update={"baseline": True})
    with pytest.raises(RunError, match=r"significantly below its baseline \(colours and coarse pixels\)"):
        train(config)
    assert not (tmp_path / "models").exists()
    bundle = train(config.model_copy(update={"force": True}))
    assert "significantly below it" in (bundle / "card.md").read_text()
    figures = manifest_of(tmp_path)["graphs"]["fp32"]["evaluation"]["metrics"]
    assert figures["colours and coarse pixels: accuracy"] > figures["accuracy"]


def test_finished_run_is_not_done_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.pipeline.load_data", lambda *_: pytest.fail("the data were read again"))
    assert train(configure(root)) == root / "models" / "digits" / "1"


def test_run_of_another_configuration_is_refused_with_the_difference(root: Path) -> None:
    with pytest.raises(RunError, match=r"epochs: 2, now 3"):
        open_run(configure(root, "--epochs", "3"))


def test_failed_start_leaves_no_run_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is neither a folder, nor a file, nor a named set"):
        train(configure(tmp_path, "--data", str(tmp_path / "nowhere")))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_existing_version_is_never_overwritten_and_the_next_is_free(root: Path) -> None:
    before = (root / "models" / "digits" / "1" / "manifest.json").read_bytes()
    RunFiles(root / "run").published.unlink()
    with pytest.raises(RunError, match="1 exists; a published version is never overwritten"):
        train(configure(root, "--version", "1"))
    assert train(configure(root)).name == "2"
    assert (root / "models" / "digits" / "1" / "manifest.json").read_bytes() == before
    assert sorted(entry.name for entry in (root / "models").iterdir()) == ["digits"]


def test_failed_publication_leaves_nothing_behind(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted((root / "models").rglob("*"))
    RunFiles(root / "run").published.unlink(missing_ok=True)
    monkeypatch.setattr(
        "training.release.publish.write_card", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(RunError, match="disk full"):
        train(configure(root))
    assert sorted((root / "models").rglob("*")) == before


def test_graph_with_other_weights_fails_its_golden_examples(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "models" / "digits" / "1", tmp_path / "digits" / "1")
    bundle = Bundle.open(tmp_path / "digits" / "1")
    golden = json.loads((bundle.path / "golden.json").read_text())
    golden["examples"][0]["outputs"]["logits"][0] += 0.1
    _replace(bundle.path, "golden.json", json.dumps(golden).encode())
    with pytest.raises(GoldenMismatch, match="logits"):
        Predictor.open(bundle.path, "fp32")


def _replace(folder: Path, name: str, content: bytes) -> None:
    """Change a file and its record in the manifest."""
    from inference.store.bundle import file_record

    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = file_record(content).model_dump()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_manifest_holds_no_path_of_this_machine(root: Path) -> None:
    text = (root / "models" / "digits" / "1" / "manifest.json").read_text()
    assert str(root) not in text
    assert str(Path.home()) not in text
    assert manifest_of(root)["parity"]["max_batch_diff"] < 1e-4


def test_steps_keep_torch_deterministic(root: Path) -> None:
    """Calibration repeated from the same weights gives the same bytes."""
    files = RunFiles(root / "run")
    before = files.calibration.read_bytes()
    files.calibration.unlink()
    RunFiles(root / "run").published.unlink(missing_ok=True)
    torch.manual_seed(99)
    train(configure(root, "--version", "7"))
    assert files.calibration.read_bytes() == before


@pytest.mark.slow
def test_slices_and_robustness_stand_in_manifest_and_card(root: Path) -> None:
    RunFiles(root / "run").published.unlink(missing_ok=True)
    published = train(configure(root, "--slice", "brightness", "--version", "9"))
    evaluation = manifest_of(root, 9)["graphs"]["fp32"]["evaluation"]
    assert {score["column"] for score in evaluation["slices"]} == {"brightness"}
    assert sum(score["rows"] for score in evaluation["slices"]) == evaluation["rows"]
    assert all(score["low"] <= score["score"] <= score["high"] for score in evaluation["slices"])
    robustness = evaluation["robustness"]
    assert robustness["clean"] == pytest.approx(
        evaluation["metrics"]["accuracy"]
    )  # all 359, in another order
    assert min(robustness, key=robustness.__getitem__) != "clean"
    card = (published / "card.md").read_text()
    assert "## Slices of test" in card
    assert "| FGSM" in card


def test_what_a_baseline_scores_is_told_on_a_line_of_its_own() -> None:
    metrics = {
        "hr@10": 0.5,
        "mrr": 0.25,
        "popularity: hr@10": 0.125,
        "margin over popularity: hr@10, 95% low": 0.3,
    }
    assert by_model(metrics) == [
        "hr@10 0.5000, mrr 0.2500",
        "popularity: hr@10 0.1250",
        "margin over popularity: hr@10, 95% low 0.3000",
    ]


def test_unknown_slice_is_a_fault_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="slice: 'colour' is no column of images"):
        train(configure(tmp_path, "--slice", "colour"))
    assert not (tmp_path / "run").exists()


def _choose(files: RunFiles) -> Any:
    """The step of the outlier score, of a task that has chosen the energy."""
    chosen = Energy(), OutlierChoice(score="energy", thresholds={}, candidates={}, sets={})
    task: Any = SimpleNamespace(outliers=lambda *_: chosen)
    data: Any = None
    return choose_outliers(task, torch.nn.Identity(), Calibrated(), data, files)


def test_a_full_disk_leaves_no_half_of_an_outlier_score(tmp_path: Path) -> None:
    """A limit on the size of files fails as a full disk does, in the middle of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 9, before[1]))
    try:
        with pytest.raises(RunError, match=r"outliers\.pt: cannot be written: File too large"):
            _choose(RunFiles(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_an_outlier_score_is_read_back_and_another_file_refused(tmp_path: Path) -> None:
    files = RunFiles(tmp_path)
    assert _choose(files)[1] == _choose(files)[1]
    files.outliers.write_bytes(b"no score")
    with pytest.raises(RunError, match=r"outliers\.pt: cannot be read as a checkpoint"):
        _choose(files)


def test_foreign_rows_are_made_once_for_both_precisions(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(root / "run", tmp_path / "run")
    files = RunFiles(tmp_path / "run")
    for artefact in (files.published, files.report, files.int8_report):
        artefact.unlink(missing_ok=True)
    calls, make = [], VisionTask.foreign

    def counted(*given: Any) -> Any:
        calls.append(given)
        return make(*given)

    monkeypatch.setattr(VisionTask, "foreign", counted)
    train(configure(tmp_path))
    assert len(calls) == 1
    graphs = manifest_of(tmp_path)["graphs"]
    assert {name: len(graph["evaluation"]["foreign"]) for name, graph in graphs.items()} == {
        "fp32": 6,
        "int8": 6,
    }
