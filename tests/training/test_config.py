"""The configuration: flags over a file over the shipped recipe, checked as a whole."""

import shlex
from importlib import resources
from pathlib import Path

import pytest
import torch

from training.__main__ import help_of
from training.architectures.registry import ARCHITECTURES, task_names
from training.config import load_config, make_config, shipped_recipe
from training.data.public_sets import PUBLIC_SETS
from training.errors import ConfigError
from training.fit.train import choose_precision
from training.release.provenance import command

RECIPES = sorted(
    entry.name.removesuffix(".toml")
    for entry in (resources.files("training") / "configs").iterdir()
    if entry.name.endswith(".toml")
)


def test_flags_win_over_the_file_and_the_file_over_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("epochs = 3\nbatch_size = 32\n")
    flags = ("--data", "fashion", "--arch", "resnet", "--config", str(file), "--batch-size", "16")
    config = load_config("vision", flags)
    assert (config.epochs, config.batch_size) == (3, 16)
    assert config.optimizer == shipped_recipe("fashion", "resnet")["optimizer"] == "sgd"


def test_all_faults_are_named_at_once() -> None:
    settings = {"task": "vision", "data": "d", "arch": "lstm", "epochs": 0, "erase": 2, "learningrate": 1}
    with pytest.raises(ConfigError) as caught:
        make_config(settings)
    for name in ("arch", "epochs", "erase", "learningrate"):
        assert name in str(caught.value)


def test_unknown_architecture_and_unknown_option_are_faults() -> None:
    with pytest.raises(
        ConfigError,
        match="arch: 'lstm' is no architecture for vision; there are mlp, cnn, resnet, resnet9, vit",
    ):
        make_config({"task": "vision", "data": "d", "arch": "lstm"})
    with pytest.raises(ConfigError, match=r"model: layers: cnn has no such option"):
        make_config({"task": "vision", "data": "d", "arch": "cnn", "model": {"layers": 3}})


def test_flag_that_cannot_be_read_is_a_fault_and_no_traceback() -> None:
    with pytest.raises(ConfigError, match="model"):
        load_config("vision", ("--data", "d", "--arch", "cnn", "--model", "widths"))


def test_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("epochs: 3")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load_config("vision", ("--data", "d", "--arch", "cnn", "--config", str(tmp_path / "bad.toml")))


def test_a_file_that_is_no_utf8_is_a_fault_and_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b'name = "caf\xe9"\n')
    with pytest.raises(ConfigError, match=r"config: cannot read .*mine\.toml"):
        load_config("vision", ("--config", str(file)))


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ('arch = "cnn"\nmodel = 3\n', "model"),
        ('arch = "cnn"\ndata = 5\n[model]\nwidths = [8, 16]\n', "data"),
        ('arch = "cnn"\ninit_from = 5\n', "init_from"),
    ],
    ids=["options that are a number", "data that are a number", "a model to start from that is a number"],
)
def test_a_file_with_values_of_another_kind_is_a_fault_and_no_traceback(
    tmp_path: Path, settings: str, wrong: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(settings)
    with pytest.raises(ConfigError) as caught:
        load_config("vision", ("--config", str(file)))
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [wrong]


def test_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHS", "99")
    assert load_config("vision", ("--data", "digits", "--arch", "cnn")).epochs != 99


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_shipped_recipe_is_valid_for_a_named_set_and_an_architecture(recipe: str) -> None:
    arch = max((name for name in ARCHITECTURES if recipe.endswith(f"-{name}")), key=len)
    data = recipe.removesuffix(f"-{arch}")
    assert data in PUBLIC_SETS
    make_config({"task": ARCHITECTURES[arch].task, "data": data, "arch": arch, **shipped_recipe(data, arch)})


@pytest.mark.parametrize("task", task_names())
def test_a_task_alone_trains_on_its_embedded_set(task: str) -> None:
    config = load_config(task)
    assert not PUBLIC_SETS[config.data].files
    assert ARCHITECTURES[config.arch].task == task


@pytest.mark.parametrize("task", task_names())
def test_the_help_of_a_task_lists_its_own_settings_and_architectures_alone(task: str) -> None:
    told = help_of(task)
    for name, architecture in ARCHITECTURES.items():
        assert (f"\n  {name:16} " in told) == (architecture.task == task)
    own = {"vision": "--crop", "text": "--vocabulary", "recommendation": "--default-k"}
    for other, flag in own.items():
        assert (f"  {flag} " in told) == (other == task)
    assert ("--teacher" in told) == (task != "recommendation")
    assert "  --schedule constant|cosine|one-cycle (cosine)\n" in told
    assert "  --epochs VALUE (20)\n" in told
    assert "  --no-progress (it does)\n" in told
    assert "Undefined" not in told


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--mirror", "--no-flip", "--epochs", "5", "--seed", "3"),
        ("--init-from", "models/fashion", "--learning-rate", "0.05", "--model", '{"widths": [4, 8]}'),
    ],
    ids=str,
)
def test_the_command_of_a_bundle_trains_by_the_same_settings(flags: tuple[str, ...]) -> None:
    config = load_config("vision", ("--data", "fashion", "--arch", "resnet", *flags))
    told = shlex.split(command(config))
    assert told[:3] == ["baton", "train", "vision"]
    assert load_config("vision", told[3:]).learned_from() == config.learned_from()
    assert len(told) <= 9 + len(flags), "nothing is told that the recipe says"


@pytest.mark.parametrize(
    ("arch", "hardware", "flags", "chosen"),
    [
        ("cnn", True, (), "bf16-mixed"),
        ("cnn", False, (), "32-true"),
        ("vit", True, (), "32-true"),
        ("vit", True, ("--precision", "bf16-mixed"), "bf16-mixed"),
    ],
)
def test_bf16_is_chosen_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, arch: str, hardware: bool, flags: tuple[str, ...], chosen: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: hardware)
    config = load_config("vision", ("--data", "digits", "--arch", arch, "--accelerator", "cpu", *flags))
    assert choose_precision(config) == chosen


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("My Reviews (final).csv", "my-reviews-final"),
        ("orders.csv.gz", "orders"),
        ("Café Größe.csv", "cafe-grosse"),
        ("deep/fashion", "fashion"),
        ("a" * 200 + ".csv", "a" * 128),
        ("_x_.csv", "x"),
    ],
)
def test_a_bundle_is_named_by_its_data_before_any_work(data: str, name: str) -> None:
    config = load_config("text", ("--data", data))
    assert config.bundle_name == name
    assert config.run_directory.name == f"{name}-bag-0"
    assert make_config({**config.model_dump(), "name": name}).bundle_name == name, "the manifest takes it"


def test_data_that_no_name_can_be_made_of_want_one() -> None:
    with pytest.raises(ConfigError, match=r"name: none can be made of 'отзывы\.csv'; give --name"):
        _ = load_config("text", ("--data", "отзывы.csv")).bundle_name
