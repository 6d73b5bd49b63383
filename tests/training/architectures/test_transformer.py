"""The Transformer encoder over words."""

import pytest
import torch

from training.architectures import text
from training.architectures.words import Words

WORDS = Words(30, 16)


def test_a_word_changes_with_the_words_around_it_but_not_with_padding() -> None:
    torch.manual_seed(0)
    layer = text.transformer(WORDS, 2, width=8, heads=2).eval().layers[0]
    x, mask = torch.randn(1, 4, 8), torch.tensor([[True, True, True, False]])
    expected = layer(x, mask)[0, 0]
    padding, word = x.clone(), x.clone()
    padding[0, 3, 0] += 1  # not to all values, which the norm would take out again
    word[0, 2, 0] += 1
    torch.testing.assert_close(layer(padding, mask)[0, 0], expected)
    assert not torch.allclose(layer(word, mask)[0, 0], expected)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="heads 3 must divide the width 8"):
        text.transformer(WORDS, 2, width=8, heads=3)
