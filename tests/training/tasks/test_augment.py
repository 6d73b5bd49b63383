"""Augmentation: repeatable from a generator, and what each kind may change."""

import pytest
import torch
from torch import Tensor

from training.data.examples import seeded
from training.tasks.augment import Augment, crop_and_flip, cutmix, erase, mixup

CLASSES = 4


@pytest.fixture
def images() -> Tensor:
    return torch.randint(1, 256, (16, 9, 11, 3), dtype=torch.uint8, generator=seeded(5))


LABELS = torch.arange(16) % CLASSES
KINDS = {
    "crop": Augment(crop=2),
    "flip": Augment(flip=True),
    "erase": Augment(erase=0.7),
    "mixup": Augment(mixup=0.4),
    "cutmix": Augment(cutmix=1.0),
    "everything": Augment(2, True, 0.5, 0.2, 1.0),
}


@pytest.mark.parametrize("change", KINDS.values(), ids=KINDS)
def test_same_generator_gives_the_same_batch_and_another_step_another(
    images: Tensor, change: Augment
) -> None:
    (first, soft), (again, soft_again), (other, _) = (
        change(images, LABELS, CLASSES, seeded(0, step)) for step in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert torch.equal(soft, soft_again)
    assert not torch.equal(first, other)
    assert first.shape == images.shape
    assert first.dtype == torch.uint8


def test_nothing_asked_for_changes_nothing(images: Tensor) -> None:
    same, labels = Augment()(images, LABELS, CLASSES, seeded(0))
    assert same is images
    assert labels is LABELS


def test_flip_mirrors_about_half_of_the_pictures(images: Tensor) -> None:
    flipped = crop_and_flip(images, 0, True, seeded(3))
    kept = [torch.equal(a, b) for a, b in zip(images, flipped, strict=True)]
    mirrored = [torch.equal(a.flip(1), b) for a, b in zip(images, flipped, strict=True)]
    assert all(a != b for a, b in zip(kept, mirrored, strict=True))
    assert 3 < sum(mirrored) < 13


def test_crop_shifts_by_at_most_the_padding(images: Tensor) -> None:
    cropped = crop_and_flip(images, 2, False, seeded(3))
    padded = torch.nn.functional.pad(images, (0, 0, 2, 2, 2, 2))
    for k, picture in enumerate(cropped):
        windows = (padded[k, y : y + 9, x : x + 11] for y in range(5) for x in range(5))
        assert any(torch.equal(picture, window) for window in windows)


def test_erase_leaves_about_the_share_not_drawn_alone() -> None:
    zeros = torch.zeros(2000, 8, 8, 1, dtype=torch.uint8)
    touched = erase(zeros, 0.25, seeded(1)).any(dim=3).any(dim=2).any(dim=1).float().mean().item()
    assert touched == pytest.approx(0.25, abs=0.04)


def test_mixed_labels_are_the_share_of_pixels_from_each_picture() -> None:
    ones, twos = (torch.full((3, 10, 10, 1), level, dtype=torch.uint8) for level in (100, 200))
    pasted, kept = cutmix(ones, twos, 0.6, seeded(2))
    assert (pasted == 100).float().mean().item() == pytest.approx(kept)
    blended, kept = mixup(ones, twos, 0.25, seeded(2))
    assert (blended == 175).all()
    _, labels = Augment(mixup=0.4)(ones, torch.tensor([0, 1, 2]), CLASSES, seeded(2))
    assert labels.sum(1).tolist() == pytest.approx([1, 1, 1])
