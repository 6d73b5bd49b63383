"""The reference that a training publishes, and the one that is added to a bundle afterwards."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from inference.errors import DigestMismatch
from inference.predictor import Predictor
from inference.store.bundle import Bundle
from inference.store.reference import REFERENCE_FILE, Histogram
from tests.training.fixed import ALIKE
from training.config import TrainConfig, load_config
from training.errors import DataError, RunError
from training.pipeline import train
from training.release.reference import add_reference, config_of, main
from training.run import RunFiles
from training.tasks.registry import find_task

pytestmark = pytest.mark.slow

FLAGS = ("--data", "digits", "--arch", "mlp", "--name", "digits", "--epochs", "1", "--batch-size", "64")
FIXED = ("--quantize", "off", "--no-robustness", *ALIKE, "--no-baseline")


def configure(root: Path, *more: str) -> TrainConfig:
    where = ("--models", str(root / "models"), "--run", str(root / "run"))
    return load_config("vision", (*FLAGS, *FIXED, *where, *more))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its published bundle."""
    path = tmp_path_factory.mktemp("reference")
    train(configure(path))
    return path


@pytest.fixture
def without(root: Path, tmp_path: Path) -> Path:
    """The same bundle as it was published before there were references."""
    folder = tmp_path / "models" / "digits" / "1"
    shutil.copytree(root / "models" / "digits" / "1", folder)
    (folder / REFERENCE_FILE).unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"][REFERENCE_FILE]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_training_publishes_the_reference_of_its_validation_split(root: Path) -> None:
    predictor, task = Predictor.open(root / "models" / "digits" / "1"), find_task("vision")
    data = task.load(configure(root))
    assert predictor.reference is not None
    assert predictor.reference.rows == len(data.validation)
    brightness = data.validation.pixels.float().flatten(1).mean(1).double().numpy()
    assert predictor.reference.features["brightness"].counts == Histogram.of(brightness).counts
    answers = predictor.predict([task.payload(data.validation, row) for row in range(len(data.validation))])
    seen = np.bincount([int(answer["label"]) for answer in answers], minlength=11)
    # The first bin is below every label: none is there to be seen to fall.
    assert predictor.reference.features["label"].counts == (0, *seen)


def test_the_reference_is_under_the_manifests_digests(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "digits" / "1"
    shutil.copytree(root / "models" / "digits" / "1", folder)
    content = (folder / REFERENCE_FILE).read_bytes()
    (folder / REFERENCE_FILE).write_bytes(content.replace(b"validation", b"Validation", 1))
    with pytest.raises(DigestMismatch, match=REFERENCE_FILE):
        Bundle.open(folder)


def test_a_run_from_before_references_gets_one_when_it_is_published_again(root: Path) -> None:
    files = RunFiles(root / "run")
    files.published.unlink()
    files.reference.unlink()
    fitted = files.fit.read_bytes()
    published = train(configure(root))
    assert files.fit.read_bytes() == fitted
    assert Predictor.open(published).reference is not None


def test_a_reference_is_added_as_the_next_version_which_differs_in_nothing_else(
    root: Path, without: Path
) -> None:
    before = {file: file.read_bytes() for file in without.rglob("*") if file.is_file()}
    published = add_reference(without)
    assert published == without.parent / "2"
    assert {file: file.read_bytes() for file in without.rglob("*") if file.is_file()} == before
    old, new = Predictor.open(without), Predictor.open(published)
    assert new.reference == Predictor.open(root / "models" / "digits" / "1").reference
    changed = {"version", "created", "description", "files"}
    assert new.bundle.manifest.model_dump(exclude=changed) == old.bundle.manifest.model_dump(exclude=changed)
    assert new.bundle.manifest.files.keys() - old.bundle.manifest.files.keys() == {REFERENCE_FILE}


def test_a_bundle_tells_the_configuration_that_it_was_trained_with(root: Path) -> None:
    manifest = Bundle.open(root / "models" / "digits" / "1").manifest
    assert config_of(manifest).learned_from() == configure(root).learned_from()


def test_a_bundle_with_a_reference_keeps_it(root: Path) -> None:
    with pytest.raises(RunError, match=r"has a reference\.json already"):
        add_reference(root / "models" / "digits" / "1")


def test_other_data_than_those_it_learned_from_are_refused(
    without: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((without / "manifest.json").read_text())
    manifest["data"]["digest"] = "0" * 64
    (without / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=f"expected {'0' * 64}"):
        add_reference(without)
    assert main(["reference", str(without)]) == 1
    assert ", of the data it was trained on" in capsys.readouterr().err
    assert [folder.name for folder in without.parent.iterdir()] == ["1"]
