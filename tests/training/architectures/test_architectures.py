"""Architectures: every one builds for any picture, learns through every parameter, and says where it is from."""

import pytest
import torch

from training.architectures import resnet, resnet9
from training.architectures.classifier import ImageClassifier
from training.architectures.registry import ARCHITECTURES, Architecture, check_options, find_architecture
from training.config import load_config
from training.errors import ConfigError
from training.fit.train import build_model, read_data

VISION = [one for one in ARCHITECTURES.values() if one.task == "vision"]


@pytest.mark.parametrize("architecture", VISION, ids=lambda one: str(one.name))
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8)], ids=str)
def test_network_gives_logits_for_every_class(
    architecture: Architecture, shape: tuple[int, int, int]
) -> None:
    network = architecture.build(shape, 7)
    logits = network(torch.rand(3, *shape))
    assert logits.shape == (3, 7)
    logits.square().sum().backward()
    learned = (named for named in network.named_parameters() if named[1].requires_grad)
    without = [name for name, parameter in learned if parameter.grad is None]
    assert not without


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_architecture_names_its_paper_and_has_only_keyword_options(architecture: Architecture) -> None:
    assert architecture.summary
    assert any(year in architecture.paper for year in map(str, range(1950, 2030)))
    assert architecture.options()


def test_unknown_option_is_refused_with_the_ones_there_are() -> None:
    (fault,) = check_options(ARCHITECTURES["resnet"], {"withs": [1]})
    assert fault == "withs: resnet has no such option; it has widths, blocks, stem_stride, dropout"


def test_resnet_takes_a_depth_for_each_stage_and_none_for_the_first() -> None:
    build = ARCHITECTURES["resnet"].build
    shallow, even = (build((3, 8, 8), 2, widths=[4, 8], blocks=blocks) for blocks in ([0, 2], [1, 1]))
    assert [
        sum(isinstance(part, resnet.Block) for part in network.children()) for network in (shallow, even)
    ] == [2, 2]
    assert build((3, 8, 8), 2, widths=[4, 8], blocks=1).state_dict().keys() == even.state_dict().keys()
    for wrong in ([1], [1, 0]):
        with pytest.raises(ValueError, match="one number for each of 2 widths"):
            build((3, 8, 8), 2, widths=[4, 8], blocks=wrong)


def test_resnet9_begins_with_filters_that_make_neighbouring_pixels_uncorrelated() -> None:
    network = ARCHITECTURES["resnet9"].build((2, 16, 16), 3)
    assert isinstance(network, resnet9.ResNet9)
    # Smooth pictures: what is next to a pixel says nearly the same.
    noise = torch.randn(300, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    pictures = torch.nn.functional.interpolate(noise, scale_factor=2.0, mode="bilinear")
    network.measure(pictures)
    answers = network.whitening(pictures).movedim(1, 0).flatten(1)
    axes = answers.shape[0] // 2
    torch.testing.assert_close(answers[:axes], -answers[axes:])
    raw = torch.nn.functional.unfold(pictures, 2).movedim(1, 0).flatten(1)
    assert (raw.corrcoef() - torch.eye(axes)).abs().max() > 0.5
    seen = answers[:axes].cov()
    torch.testing.assert_close(seen - seen.diag().diag(), torch.zeros(axes, axes), atol=0.01, rtol=0)
    assert seen.diag().max() < 1.01
    assert not network.whitening.weight.requires_grad


def test_resnet9_wants_a_number_of_blocks_for_every_width() -> None:
    for wrong in ([1], [1, -1]):
        with pytest.raises(ValueError, match="one number for each of 2 widths, 0 or more"):
            ARCHITECTURES["resnet9"].build((3, 8, 8), 2, widths=[4, 8], blocks=wrong)


def test_unknown_architecture_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(ConfigError, match="there are mlp, cnn, resnet, resnet9, vit"):
        find_architecture("vision", "resnext")


def test_classifier_scales_pixels_by_the_statistics_it_was_given() -> None:
    classifier = ImageClassifier(torch.nn.Flatten(), mean=[0.5, 0.25], std=[0.5, 2.0])
    pixels = torch.tensor([[[[255, 0]]]], dtype=torch.uint8)
    assert classifier(pixels).tolist() == [[1.0, -0.125]]


def test_mirrored_classifier_answers_a_picture_and_its_mirror_image_alike() -> None:
    network = ARCHITECTURES["cnn"].build((1, 8, 8), 3)
    classifier = ImageClassifier(network, [0.5], [0.25], mirrored=True).eval()
    images = torch.randint(0, 256, (5, 8, 8, 1), dtype=torch.uint8)
    plain = ImageClassifier(network, [0.5], [0.25]).eval()
    seen, other = plain(images), plain(images.flip(2))
    assert not torch.allclose(seen, other)
    torch.testing.assert_close(classifier(images), (seen + other) / 2)
    torch.testing.assert_close(classifier(images), classifier(images.flip(2)))
    torch.manual_seed(3)
    learning = classifier.train()(images)
    torch.manual_seed(3)
    torch.testing.assert_close(learning, plain.train()(images))


@pytest.mark.slow
def test_task_measures_the_whitening_on_the_pictures_of_train() -> None:
    config = load_config("vision", ("--data", "digits", "--arch", "resnet9", "--batch-size", "64"))
    data = read_data(config)
    model = build_model(config, data)
    assert isinstance(model, ImageClassifier)
    assert isinstance(model.network, resnet9.ResNet9)
    answers = model.network.whitening(model.scaled(data.train.pixels)).movedim(1, 0).flatten(1)
    seen = answers[: answers.shape[0] // 2].cov()
    torch.testing.assert_close(seen, torch.eye(len(seen)), atol=0.05, rtol=0)
