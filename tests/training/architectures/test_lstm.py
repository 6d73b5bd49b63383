"""LSTM and GRU: both directions."""

import torch

from training.architectures.lstm import mirrored


def test_mirror_turns_each_text_within_its_own_length() -> None:
    mask = torch.tensor([[True, True, True, False, False], [True] * 5])
    assert mirrored(mask).tolist() == [[2, 1, 0, 3, 4], [4, 3, 2, 1, 0]]
