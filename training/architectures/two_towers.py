"""Two towers: one makes a vector of the history, the other of each item; their product is the score.

    history int64 [n, length], padded with 0 on the left, the most recent item last
      item tower      id embedding + mean of the title's word embeddings → layer norm   [items, width]
      history tower   item vectors, weighted by recency and by their appeal             [n, width]
                      → + MLP(norm(·))                                                  [n, width]
      score           history · itemᵀ · scale + item bias                               [n, items]
                      + a weight for each earlier purchase, by its recency              [n, items]

Covington, Adams & Sargin 2016, "Deep Neural Networks for YouTube Recommendations"
(doi:10.1145/2959100.2959190); two encoders with item content: Yi et al. 2019
(doi:10.1145/3298689.3346996). The last line is for shops, where people buy the same again: most items of a
next basket that can be foreseen are repetitions (Li et al. 2023, arXiv:2109.14233); `repeat=false` takes it out.

The item tower needs no history, so its vectors are computed once, when the graph is deployed.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from training.architectures.base import Recommender


class ItemTower(nn.Module):
    """Item index → vector, from its id and, where there are titles, from their words."""

    words: Tensor

    def __init__(self, items: int, words: Tensor | None, width: int, dropout: float) -> None:
        """words: int64 [items + 1, most], word indexes of each title from 1, padded with 0."""
        super().__init__()
        self.id = nn.Embedding(items + 1, width, padding_idx=0)
        table = torch.zeros(items + 1, 1, dtype=torch.int64) if words is None else words
        self.register_buffer("words", table, persistent=False)
        self.word = nn.Embedding(int(table.max()) + 1, width, padding_idx=0)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        for weight in (self.id.weight, self.word.weight):
            nn.init.normal_(weight[1:].detach(), std=1.0)

    def forward(self) -> Tensor:
        """float [items + 1, width] of the whole catalogue; row 0 is padding."""
        counts = (self.words != 0).sum(1, keepdim=True).clamp(min=1)
        titles = self.word(self.words).sum(1) / counts.sqrt()
        return self.norm(self.dropout(self.id.weight + titles))  # type: ignore[no-any-return]


class TwoTowers(Recommender):
    """Both towers and how their vectors meet."""

    def __init__(
        self, items: int, length: int, words: Tensor | None, width: int, dropout: float, repeat: bool
    ) -> None:
        super().__init__()
        self.length, self.repeats = length, repeat
        self.tower = ItemTower(items, words, width, dropout)
        self.recency = nn.Parameter(torch.zeros(length))
        self.interest = nn.Linear(width, 1)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )
        self.dropout = nn.Dropout(dropout)
        self.scale = nn.Parameter(torch.tensor(width**-0.5))
        self.bias = nn.Parameter(torch.zeros(items))
        self.again = nn.Parameter(torch.zeros(length))

    def forward(self, history: Tensor) -> Tensor:
        return self.score(history, self.tower())

    def score(self, history: Tensor, vectors: Tensor) -> Tensor:
        """history int64 [n, length], vectors float [items + 1, width] → float [n, items]."""
        length, present = history.shape[1], history != 0
        from_end = (torch.arange(length, device=history.device) + (self.length - length)).clamp(min=0)
        items = F.embedding(history, vectors)
        appeal = self.interest(items).squeeze(-1) + self.recency[from_end]
        weights = appeal.float().masked_fill(~present, -1e4).softmax(-1).to(items.dtype)
        pooled = (weights[:, None] @ items).squeeze(1)
        person = self.dropout(pooled + self.mlp(pooled))
        scores = self.scale * F.linear(person, vectors[1:]) + self.bias
        if not self.repeats:
            return scores
        again = torch.where(present, self.again[from_end], 0.0).to(scores.dtype)
        bought = scores.new_zeros(history.shape[0], vectors.shape[0])
        return scores + bought.scatter_add(1, history, again)[:, 1:]

    def deployed(self) -> nn.Module:
        """The history tower with the catalogue's vectors as a constant."""
        return _Deployed(self)


class _Deployed(nn.Module):
    vectors: Tensor

    def __init__(self, model: TwoTowers) -> None:
        super().__init__()
        self.model = model
        with torch.no_grad():
            self.register_buffer("vectors", model.eval().tower().clone())

    def forward(self, history: Tensor) -> Tensor:
        return self.model.score(history, self.vectors)


def title_words(titles: Sequence[str], rarest: int = 2) -> Tensor:
    """Words of each title as indexes from 1, int64 [titles + 1, most]; row 0 is padding.

    Words of fewer than `rarest` titles say nothing that the id does not.
    """
    split = [sorted(set(title.lower().split())) for title in titles]
    counts: dict[str, int] = {}
    for words in split:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    index = {word: i + 1 for i, word in enumerate(sorted(w for w in counts if counts[w] >= rarest))}
    known = [[index[word] for word in words if word in index] for words in split]
    table = torch.zeros(len(titles) + 1, max(1, *map(len, known), 1), dtype=torch.int64)
    for row, words_of_row in enumerate(known, start=1):
        table[row, : len(words_of_row)] = torch.tensor(words_of_row, dtype=torch.int64)
    return table
