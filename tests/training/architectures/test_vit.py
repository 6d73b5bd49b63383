"""The Vision Transformer: patches, and positions as the only thing that tells them apart."""

import pytest
import torch

from training.architectures import vision


def test_without_positions_the_order_of_the_patches_is_nothing_to_it() -> None:
    torch.manual_seed(0)
    network = vision.vit((1, 8, 8), 3, patch=4, width=16).eval()
    images = torch.rand(2, 1, 8, 8)
    swapped = torch.cat([images[:, :, 4:], images[:, :, :4]], 2)
    assert not torch.allclose(network(swapped), network(images), atol=1e-4)
    torch.nn.init.zeros_(network.position)
    torch.testing.assert_close(network(swapped), network(images))


@pytest.mark.parametrize(
    ("options", "said"), [({"patch": 3}, "patch 3 must divide 8×8"), ({"heads": 5}, "heads 5")]
)
def test_patches_that_do_not_divide_the_image_are_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        vision.vit((1, 8, 8), 3, **options)
