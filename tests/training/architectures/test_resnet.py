"""ResNet: depths by stage."""

import pytest

from training.architectures import resnet
from training.architectures.registry import ARCHITECTURES


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
