"""Architectures: every one builds for any picture, learns through every parameter, and says where it is from."""

import pytest
import torch

from training.architectures import resnet
from training.architectures.registry import ARCHITECTURES, Architecture, check_options, find_architecture
from training.classifier import ImageClassifier
from training.errors import ConfigError

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
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
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


def test_unknown_architecture_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(ConfigError, match="there are mlp, cnn, resnet, vit"):
        find_architecture("vision", "resnext")


def test_classifier_scales_pixels_by_the_statistics_it_was_given() -> None:
    classifier = ImageClassifier(torch.nn.Flatten(), mean=[0.5, 0.25], std=[0.5, 2.0])
    pixels = torch.tensor([[[[255, 0]]]], dtype=torch.uint8)
    assert classifier(pixels).tolist() == [[1.0, -0.125]]
