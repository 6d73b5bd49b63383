"""TextCNN: a filter answers to its n-gram wherever it stands."""

import torch

from training.architectures import text
from training.architectures.words import Words


def test_the_place_of_an_ngram_in_the_text_is_forgotten() -> None:
    torch.manual_seed(0)
    network = text.textcnn(Words(30, 16), 3, width=8, filters=4, sizes=[3]).eval()
    # Padded with words whose vectors are zero, so that no n-gram but the one is there.
    torch.nn.init.zeros_(network.vectors.weight[9].detach())
    early, late = ([9, 9, 5, 6, 7, 9, 9, 9, 9], [9, 9, 9, 9, 9, 5, 6, 7, 9])
    torch.testing.assert_close(network(torch.tensor([early])), network(torch.tensor([late])))
    assert not torch.allclose(
        network(torch.tensor([early])), network(torch.tensor([[9, 9, 7, 6, 5, 9, 9, 9, 9]]))
    )
