"""Starting from another model: a bundle, a run or a checkpoint gives the same function, under a new head."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.training.fixed import ALIKE
from training.architectures.classifier import ClassifierGraph, ImageClassifier
from training.architectures.registry import find_architecture
from training.config import load_config
from training.data.examples import Batch, seeded
from training.data.vision import Images
from training.errors import ConfigError
from training.fit.optim import head_names, make_optimizer, make_schedule
from training.fit.train import fit, load_data
from training.fit.transfer import start_from
from training.pipeline import train
from training.release.export import export
from training.run import RunFiles

SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [16, 12]},
    "cnn": {"widths": [4, 8], "hidden": 8},
    "resnet": {"widths": [4, 8]},
    "resnet9": {"widths": [4, 8], "blocks": [0, 1]},
    "vit": {},
}
FLAGS = ("--data", "digits", "--name", "digits", "--batch-size", "64", "--quantize", "off", "--seed", "5")
FIXED = ("--precision", "32-true", *ALIKE, "--no-baseline")
SLOW = ("--learning-rate", "2e-4")
IMAGES = Images(
    torch.randint(0, 256, (80, 8, 8, 1), dtype=torch.uint8, generator=seeded(3)),
    torch.randint(0, 3, (80,), generator=seeded(4)),
)


def classifier(arch: str, classes: int = 10) -> ImageClassifier:
    network = find_architecture("vision", arch).build((1, 8, 8), classes, **SMALL[arch])
    return ImageClassifier(network, [0.5], [0.25])


def trained(arch: str) -> ImageClassifier:
    """With weights and statistics that are nobody's defaults."""
    model, draws = classifier(arch), seeded(7)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point() and name not in ("mean", "std"):
                noise = torch.rand(value.shape, generator=draws)
                value.copy_(0.5 + noise if "running_var" in name or value.ndim == 1 else noise - 0.5)
    return model.eval()


def inputs(batch: Batch) -> Batch:
    return {"image": batch["image"]}


def body(model: nn.Module) -> list[torch.Tensor]:
    """What the head is given."""
    seen: list[torch.Tensor] = []
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    handle = head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.inference_mode():
        model.eval()(IMAGES.pixels)
    handle.remove()
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("arch", SMALL)
def test_a_graph_gives_back_the_function_that_was_exported(
    arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = trained(arch), classifier(arch, classes=3)
    graph = ClassifierGraph(source, 1.5)
    folder = tmp_path / "source"
    folder.mkdir()
    export(graph, {"image": IMAGES.pixels[:2]}, ("probabilities", "logits"), folder / "model.onnx")
    before = {name: value.clone() for name, value in target.named_parameters()}
    config = load_config("vision", (*FLAGS, "--arch", arch, "--init-from", str(folder)))
    start_from(target, config, IMAGES, inputs)
    torch.testing.assert_close(body(target), body(source), rtol=1e-3, atol=1e-3)
    for name in head_names(target):
        assert torch.equal(dict(target.named_parameters())[name], before[name])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A digits model, from scratch."""
    path = tmp_path_factory.mktemp("source")
    files = ("--models", str(path / "models"), "--run", str(path / "run"))
    model = ("--arch", "mlp", "--model", '{"hidden": [24]}')
    train(load_config("vision", (*FLAGS, *FIXED, *files, *model, "--epochs", "3")))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["models/digits", "models/digits/1", "run", "run/checkpoints/best.ckpt"])
def test_a_model_that_starts_from_another_is_better_after_one_epoch(
    root: Path, tmp_path: Path, kind: str
) -> None:
    model = ("--arch", "mlp", "--model", '{"hidden": [24]}')
    flags = (*FLAGS, *FIXED, *model, "--epochs", "1", "--freeze-epochs", "0", *SLOW, "--run")
    plain = load_config("vision", (*flags, str(tmp_path / "plain")))
    started = load_config("vision", (*flags, str(tmp_path / "started"), "--init-from", str(root / kind)))
    scores = []
    for config in (plain, started):
        files = RunFiles(config.run_directory)
        scores.append(fit(config, files, load_data(config, files)).score)
    assert scores[1] > scores[0] + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["models/digits", "models/digits/1", "run"])
def test_a_model_is_built_like_the_one_that_it_starts_from(root: Path, kind: str) -> None:
    start = ("--data", "digits", "--init-from", str(root / kind))
    taken = load_config("vision", start)
    assert (taken.arch, taken.model) == ("mlp", {"hidden": [24]})
    told = load_config("vision", (*start, "--model", '{"hidden": [8]}'))
    assert (told.arch, told.model) == ("mlp", {"hidden": [8]})
    other = load_config("vision", (*start, "--arch", "cnn"))
    assert (other.arch, other.model) == ("cnn", {})
    with pytest.raises(
        ConfigError, match="a bag has no head"
    ):  # the text's own default: nothing is taken over
        load_config("text", ("--init-from", str(root / kind)))


@pytest.mark.slow
def test_another_model_is_refused_with_what_does_not_fit(root: Path) -> None:
    config = load_config("vision", (*FLAGS, "--arch", "cnn", "--init-from", str(root / "run")))
    with pytest.raises(ConfigError, match=r"network\.0\.weight: it has None, expected \[32, 1, 3, 3\]"):
        start_from(find_cnn(), config, IMAGES, inputs)


def find_cnn() -> ImageClassifier:
    return ImageClassifier(find_architecture("vision", "cnn").build((1, 8, 8), 10), [0.5], [0.5])


def test_nothing_at_that_place_is_a_fault() -> None:
    config = load_config("vision", (*FLAGS, "--arch", "cnn", "--init-from", "nowhere"))
    with pytest.raises(ConfigError, match="nowhere is no bundle, run or checkpoint"):
        start_from(find_cnn(), config, IMAGES, inputs)


def test_the_body_rests_while_it_is_frozen_and_then_learns_more_slowly() -> None:
    flags = (*FLAGS, "--arch", "mlp", "--init-from", "x", "--freeze-epochs", "1", "--epochs", "4")
    config = load_config(
        "vision", (*flags, "--learning-rate", "0.1", "--schedule", "constant", "--warmup", "0")
    )
    model = classifier("mlp")
    optimizer = make_optimizer(model, config)
    schedule = make_schedule(optimizer, config, steps=8)
    rates = []
    for _ in range(4):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert rates[1] == [0.1, 0.1, 0, 0]
    assert rates[2] == pytest.approx([0.1, 0.1, 0.01, 0.01])
    trained_weights = sum(len(group["params"]) for group in optimizer.param_groups)
    assert trained_weights == len(list(model.parameters()))
    assert {id(p) for group in optimizer.param_groups[:2] for p in group["params"]} == {
        id(dict(model.named_parameters())[name]) for name in head_names(model)
    }


def test_one_cycle_cannot_freeze_and_text_cannot_start_from_a_picture_model() -> None:
    with pytest.raises(ConfigError, match="one-cycle cannot freeze"):
        load_config("vision", (*FLAGS, "--arch", "mlp", "--init-from", "x", "--schedule", "one-cycle"))
