"""Distillation: a student learns what a bundle answers, and a bundle that answers something else is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from tests.training.fixed import FIXED
from training.config import TrainConfig, load_config
from training.data.examples import seeded
from training.errors import ConfigError, RunError
from training.fit.train import best_model, fit, load_data
from training.pipeline import train
from training.run import RunFiles
from training.tasks.text import TextFacts
from training.tasks.vision import ImageFacts

VISION = ("--data", "digits", "--name", "digits", "--batch-size", "64", "--quantize", "off")
TEXT = (
    "--data",
    "tickets",
    "--name",
    "tickets",
    "--batch-size",
    "64",
    "--quantize",
    "off",
    "--arch",
    "textcnn",
)
SMALL_TEXT = ("--model", '{"width": 16, "filters": 8}', "--learning-rate", "0.01")


def places(root: Path) -> tuple[str, ...]:
    return (*FIXED, "--no-robustness", "--models", str(root / "models"), "--run", str(root / "run"))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits, published."""
    root = tmp_path_factory.mktemp("teacher")
    return train(load_config("vision", (*VISION, *places(root), "--arch", "mlp", "--epochs", "3"))).parent


@pytest.fixture(scope="module")
def text_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tickets, published, with a small vocabulary."""
    root = tmp_path_factory.mktemp("text_teacher")
    flags = (*TEXT, *SMALL_TEXT, *places(root), "--epochs", "1", "--vocabulary", "300")
    return train(load_config("text", flags))


def student(root: Path, teacher: Path, *more: str) -> TrainConfig:
    flags = (*VISION, *places(root), "--arch", "mlp", "--model", '{"hidden": [32]}', "--epochs", "4")
    return load_config("vision", (*flags, "--teacher", str(teacher), *more))


@pytest.mark.slow
def test_a_student_learns_from_the_teacher_where_the_labels_tell_nothing(
    teacher: Path, tmp_path: Path
) -> None:
    # Averaging is on, since it copies the model of a fit with a teacher; mixing, since it changes pixels and labels.
    config = student(tmp_path, teacher, "--distill-weight", "1", "--ema", "0.9", "--mixup", "0.2")
    files = RunFiles(config.run_directory)
    data = load_data(config, files)
    shuffled = data.train.labels[torch.randperm(len(data.train), generator=seeded(9))]
    fitted = fit(config, files, replace(data, train=replace(data.train, labels=shuffled)))
    assert fitted.score > 0.5  # by chance: 0.1


@pytest.mark.slow
def test_the_manifest_and_the_card_name_the_teacher(teacher: Path, tmp_path: Path) -> None:
    published = train(student(tmp_path, teacher, "--epochs", "1"))
    manifest: dict[str, Any] = json.loads((published / "manifest.json").read_text())
    assert (manifest["teacher"]["name"], manifest["teacher"]["version"]) == ("digits", 1)
    assert len(manifest["teacher"]["digest"]) == 64
    assert manifest["provenance"]["config"]["teacher"] == "models/digits"
    assert "- Distilled from the bundle digits, version 1" in (published / "card.md").read_text()


@pytest.mark.slow
def test_a_run_goes_on_with_its_own_teacher_alone(teacher: Path, tmp_path: Path) -> None:
    config = student(tmp_path, teacher)
    files = RunFiles(config.run_directory)
    data = load_data(config, files)
    other = {"name": "digits", "version": 1, "digest": "0" * 64}
    files.teacher.write_text(json.dumps(other))
    with pytest.raises(RunError, match="was begun with the teacher"):
        fit(config, files, data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (("--background", "0"), "processor, background: it has 255, expected 0"),
        (("--teacher", "nowhere"), "nowhere cannot be opened"),
    ],
    ids=["another processor", "no bundle"],
)
def test_a_teacher_of_other_inputs_is_refused(
    teacher: Path, tmp_path: Path, flags: tuple[str, ...], fault: str
) -> None:
    config = student(tmp_path, teacher, *flags)
    files = RunFiles(config.run_directory)
    with pytest.raises(ConfigError, match=fault):
        fit(config, files, load_data(config, files))


@pytest.mark.slow
def test_a_teacher_of_other_classes_or_another_task_is_refused(
    teacher: Path, text_teacher: Path, tmp_path: Path
) -> None:
    config = student(tmp_path / "classes", teacher)
    files = RunFiles(config.run_directory)
    data = load_data(config, files)
    renamed = replace(data, facts=replace(cast("ImageFacts", data.facts), classes=tuple("abcdefghij")))
    with pytest.raises(ConfigError, match=r"labels\.json: it has others than the data; \[\"0\", \"1\""):
        fit(config, files, renamed)
    config = student(tmp_path / "task", text_teacher)
    with pytest.raises(ConfigError, match="task: it is text, expected vision"):
        fit(config, RunFiles(config.run_directory), load_data(config, RunFiles(config.run_directory)))


@pytest.mark.slow
def test_a_text_student_takes_the_tokenizer_of_its_teacher_over(text_teacher: Path, tmp_path: Path) -> None:
    flags = (*TEXT, *SMALL_TEXT, *places(tmp_path), "--teacher", str(text_teacher), "--epochs", "1")
    config = load_config("text", (*flags, "--vocabulary", "5000"))
    files = RunFiles(config.run_directory)
    data = load_data(config, files)
    assert cast("TextFacts", data.facts).tokenizer == (text_teacher / "tokenizer.json").read_text()
    assert fit(config, files, data).score > 0.4  # by chance: 0.2
    longer = load_config("text", (*flags, "--max-length", "600", "--run", str(tmp_path / "longer")))
    with pytest.raises(ConfigError, match="max_length: it has 512, expected 600 or more"):
        fit(longer, RunFiles(tmp_path / "longer"), data)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["textcnn", "transformer", "gru"])
def test_a_text_model_starts_from_another_with_its_tokenizer(arch: str, tmp_path: Path) -> None:
    """The bundle where its graph keeps the weights apart, else the run."""
    models = {
        "textcnn": '{"width": 16, "filters": 8, "bag": 0}',
        "transformer": '{"width": 16}',
        "gru": '{"width": 8}',
    }
    flags = ("--arch", arch, "--model", models[arch], "--learning-rate", "0.003", "--epochs", "1")
    base = (*TEXT, *flags)
    begun = load_config("text", (*base, *places(tmp_path / "source"), "--vocabulary", "300"))
    bundle = train(begun)
    start = bundle if arch != "gru" else begun.run_directory
    config = load_config("text", (*base, *places(tmp_path / "next"), "--init-from", str(start)))
    files = RunFiles(config.run_directory)
    data = load_data(config, files)
    assert cast("TextFacts", data.facts).vocabulary == 300
    fit(config, files, data)
    # Its body rested in this one epoch, so that its vectors are the source's own.
    runs = [RunFiles(tmp_path / name / "run") for name in ("next", "source")]
    found, expected = (best_model(config, run.best, data).state_dict() for run in runs)
    assert torch.equal(found["vectors.weight"], expected["vectors.weight"])


def test_what_cannot_be_taught_or_started_from_another_says_why() -> None:
    for flag, said in (("--teacher", "vision and text only"), ("--init-from", "vision, text and neumf only")):
        with pytest.raises(ConfigError, match=said):
            load_config("recommendation", (flag, "somewhere"))
    with pytest.raises(ConfigError, match="a bag has no head to replace"):
        load_config("text", ("--init-from", "somewhere"))
