"""LSTM and GRU: read the words one after the other, and carry a memory along.

    int64 ids [n, length]
      → a vector for each word                                     [n, length, width]
      → the memory after each word, read forwards                  [n, length, hidden]
      → and, from the last word to the first, read backwards       [n, length, hidden]
      → largest and mean value over the text, of both              [n, 4 · hidden]
      → dropout → linear                                           [n, classes]

Gates decide at each word how much to forget, to write and to show: LSTM, Hochreiter & Schmidhuber 1997
(doi:10.1162/neco.1997.9.8.1735); GRU, with one gate less, Cho et al. 2014 (arXiv:1406.1078). The plain reader
takes the memory after the last word. In a review of hundreds of words the first ones hardly reach it:
pooling over all words (Conneau et al. 2017, arXiv:1705.02364) is better and learns faster.

Reading backwards would begin in the padding, so each text is reversed within its own length and read
forwards: then no state ever depends on how far the batch is padded.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from training.architectures.base import TextNetwork
from training.architectures.words import PAD, Words, masked_max, masked_mean

Cell = Literal["lstm", "gru"]


class RecurrentReader(TextNetwork):
    """Vectors, one reader for each direction, pooling, head."""

    def __init__(
        self, words: Words, classes: int, cell: Cell, width: int, hidden: int, dropout: float, both: bool
    ) -> None:
        super().__init__()
        kind = nn.LSTM if cell == "lstm" else nn.GRU
        self.vectors = nn.Embedding(words.vocabulary, width, padding_idx=PAD)
        nn.init.normal_(self.vectors.weight, std=0.1)
        self.forwards = kind(width, hidden, batch_first=True)
        self.backwards = kind(width, hidden, batch_first=True) if both else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden * (1 + both), classes)

    def forward(self, ids: Tensor) -> Tensor:
        mask = ids != PAD
        words = self.dropout(self.vectors(ids))
        states = [self.forwards(words)[0]]
        if self.backwards is not None:
            mirror = mirrored(mask)[..., None].expand_as(words)
            # Left in reversed order: pooling does not ask where a state stood.
            states.append(self.backwards(words.gather(1, mirror))[0])
        pooled = [pool(state, mask) for state in states for pool in (masked_max, masked_mean)]
        return self.head(self.dropout(torch.cat(pooled, 1)))  # type: ignore[no-any-return]


def mirrored(mask: Tensor) -> Tensor:
    """Where each token stands when its text is read from the end: bool [n, length] → int64 [n, length].

    A text of 3 in a row of 5 gives 2, 1, 0, 3, 4: padding stays where it is.
    """
    place = torch.arange(mask.shape[1], device=mask.device)[None]
    return torch.where(mask, mask.sum(1, keepdim=True) - 1 - place, place)
