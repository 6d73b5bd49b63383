"""The wrapper round image networks: scale and mirror image."""

import torch

from training.architectures.classifier import ImageClassifier
from training.architectures.registry import ARCHITECTURES


def test_classifier_scales_pixels_by_the_statistics_it_was_given() -> None:
    classifier = ImageClassifier(torch.nn.Flatten(), mean=[0.5, 0.25], std=[0.5, 2.0])
    pixels = torch.tensor([[[[255, 0]]]], dtype=torch.uint8)
    assert classifier(pixels).tolist() == [[1.0, -0.125]]


def test_mirrored_classifier_answers_a_image_and_its_mirror_image_alike() -> None:
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
