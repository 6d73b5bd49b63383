"""The registry: every image network builds for any size and learns through every parameter; records are whole."""

import pytest
import torch

from training.architectures.record import Architecture
from training.architectures.registry import (
    ARCHITECTURES,
    BUILT_IN,
    embedded_pair,
    find_architecture,
    task_names,
)
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
    learned = (named for named in network.named_parameters() if named[1].requires_grad)
    without = [name for name, parameter in learned if parameter.grad is None]
    assert not without


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_architecture_names_its_paper_and_has_only_keyword_options(architecture: Architecture) -> None:
    assert architecture.summary
    assert any(year in architecture.paper for year in map(str, range(1950, 2030)))
    assert architecture.options()


def test_unknown_architecture_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(ConfigError, match="there are mlp, cnn, resnet, resnet9, vit"):
        find_architecture("vision", "resnext")


def test_each_task_has_one_embedded_set_and_a_network_that_learns_it() -> None:
    assert {task: embedded_pair(task) for task in task_names()} == {
        "vision": ("digits", "cnn"),
        "text": ("tickets", "bag"),
        "recommendation": ("shop", "two-towers"),
    }
    assert embedded_pair("juggling") == ("", "")


@pytest.mark.parametrize("architecture", BUILT_IN, ids=lambda one: str(one.name))
def test_a_recommender_alone_says_which_examples_it_learns(architecture: Architecture) -> None:
    assert (architecture.example_kind != "rows") == (architecture.task == "recommendation")
