"""Bag of n-grams: one weight a word and a word pair, hashed into a table, summed up. A linear model.

    int64 ids [n, length]
      → unigrams, bigrams … hashed to buckets, each once a text   [n, grams]
      → a row of the table for each                               [n, grams, columns]
      → sum, plus a bias                                          [n, columns]
      → logits                                                    [n, classes]

    row of the table = ratio · (weight + prior), where only `weight` is learned, of the n-grams that train holds

`ratio` is the naive Bayes log-count ratio of Wang & Manning 2012 ("Baselines and Bigrams", aclanthology.org/P12-2018):
log of how much likelier a text of the class is to hold the n-gram than one of another class. It starts the
model as naive Bayes, and lets n-grams that tell the classes apart learn faster than those that do not. That
each n-gram counts once however often it occurs is theirs too. Hashing in place of a dictionary is from
Weinberger et al. 2009 (arXiv:0902.2206); two n-grams in one bucket share their weight, and with millions of
buckets that rarely matters. It is the classic that neural models on a few ten thousand texts have to beat.

Two classes need one number, the log-odds s: the logits are (-s/2, s/2).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.architectures.base import TextNetwork
from training.architectures.words import PAD

# A product of numbers below 2³¹ and 2³² stays inside int64, so that ONNX and PyTorch agree on every bit.
MODULUS = (1 << 31) - 1  # a prime
ORDER_FACTOR = 1_000_003
SPREAD_FACTOR = 2_654_435_761  # Knuth's multiplicative hash: 2³² over the golden ratio

SMOOTHING = 1.0
"""Texts added to every count (Wang & Manning 2012): an n-gram of one class alone has a finite ratio."""

STEP = 0.1
"""Of the ratio: a typical one is then 0.1, so that Adam's steps on the weights are of a good size for a long text."""

MOST_BUCKETS = 1 << 20
"""Where none are asked for: the n-grams of 10,000 reviews are 900,000."""

MOST_VALUES = 1 << 25
"""Of the table where no buckets are asked for: a file of 134 MB. With many classes a row is wide."""


def hash_ngrams(ids: Tensor, longest: int, buckets: int) -> Tensor:
    """int64 ids [n, length] → int64 [n, grams]: the bucket of every n-gram of 1 … `longest` words.

    n-grams that reach into the padding, and every repetition of one, get the number `buckets`.
    """
    found, gram, words = [], ids, ids != PAD
    for size in range(1, longest + 1):
        if size > 1:
            words = words[:, :-1] & (ids[:, size - 1 :] != PAD)
            gram = (gram[:, :-1] * ORDER_FACTOR + ids[:, size - 1 :]) % MODULUS
        bucket = (gram * SPREAD_FACTOR + size) % MODULUS % buckets
        found.append(torch.where(words, bucket, buckets))
    ordered = torch.cat(found, 1).sort(1).values
    fresh = torch.nn.functional.pad(ordered[:, 1:] != ordered[:, :-1], (1, 0), value=True)
    return torch.where(fresh, ordered, buckets)


class BagOfNgrams(TextNetwork):
    """The table, factored into counts and learned weights.

    It has a row for each bucket that a text of train is in; `place` says which. No other is ever asked for in
    training, and its ratio is zero. The last row belongs to no n-gram: zero.
    """

    ratio: Tensor
    place: Tensor

    def __init__(
        self,
        classes: int,
        longest: int,
        buckets: int,
        prior: float,
        dropout: float,
        *,
        by_length: bool = False,
        step: float = 1.0,
    ) -> None:
        """by_length: see `build`. step: factor of the ratio, and so of Adam's steps, for a rate of its own."""
        super().__init__()
        columns = columns_for(classes)
        self.classes, self.longest, self.buckets, self.prior = classes, longest, buckets, prior
        self.by_length, self.step = by_length, step
        self.weight = nn.Parameter(torch.zeros(buckets + 1, columns))
        self.bias = nn.Parameter(torch.zeros(columns))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("ratio", torch.ones(buckets + 1, columns))
        self.register_buffer("place", torch.arange(buckets + 1), persistent=False)
        self.ratio[buckets] = 0

    def forward(self, ids: Tensor) -> Tensor:
        rows = self.place[hash_ngrams(ids, self.longest, self.buckets)]
        values = self.ratio[rows] * (self.weight[rows] + self.prior)
        return as_logits(self.dropout(values).sum(1) + self.bias)

    def prepare(self, texts: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the ratios, and drop the rows that no text has."""
        counts, rows = torch.zeros(self.classes, self.buckets + 1), 0
        for ids, labels in texts:
            rows += len(ids)
            grams = hash_ngrams(ids, self.longest, self.buckets)
            where = (labels[:, None] * (self.buckets + 1) + grams).flatten()
            counts.view(-1).index_add_(0, where, torch.ones(len(where)))
        counts[:, self.buckets] = 0
        seen = counts.sum(0).nonzero()[:, 0]
        self.place = torch.full((self.buckets + 1,), len(seen)).index_put((seen,), torch.arange(len(seen)))
        counts = counts[:, seen]
        found = log_count_ratio(counts, SMOOTHING)[-self.weight.shape[1] :].T
        scale = 1 / typical_score(counts.sum(0) / rows, found) if self.by_length else STEP
        self.ratio = nn.functional.pad(found * scale * self.step, (0, 0, 0, 1))
        self.weight = nn.Parameter(torch.zeros_like(self.ratio))

    def deployed(self) -> nn.Module:
        """The same function with the table multiplied out, a row for every bucket."""
        with torch.no_grad():
            return FoldedBag(self, (self.ratio * (self.weight + self.prior))[self.place])


class FoldedBag(nn.Module):
    """A bag of n-grams with one table; for inference only."""

    table: Tensor
    bias: Tensor

    def __init__(self, bag: BagOfNgrams, table: Tensor) -> None:
        super().__init__()
        self.longest, self.buckets = bag.longest, bag.buckets
        self.register_buffer("table", table)
        self.register_buffer("bias", bag.bias.detach())

    def forward(self, ids: Tensor) -> Tensor:
        return as_logits(self.table[hash_ngrams(ids, self.longest, self.buckets)].sum(1) + self.bias)


def log_count_ratio(counts: Tensor, smoothing: float) -> Tensor:
    """Float [classes, buckets] texts that hold an n-gram → log odds of it in the class against the others.

    0 for an n-gram that was never seen.
    """
    seen = counts.sum(0) > 0
    inside = counts + smoothing
    outside = counts.sum(0) - counts + smoothing
    odds = inside / inside.sum(1, keepdim=True)
    against = outside / outside.sum(1, keepdim=True)
    return torch.where(seen, (odds / against).log(), 0.0)


def typical_score(shares: Tensor, ratio: Tensor) -> float:
    """The size of a text's score by naive Bayes, were its n-grams independent: √ of the mean sum of squares.

    shares: float [grams] of the texts that hold each. ratio: float [grams, columns].
    """
    squares = (shares[:, None] * ratio.square()).sum(0).mean()
    return float(squares.clamp(min=1e-6).sqrt())


def columns_for(classes: int) -> int:
    """Numbers a row: one for two classes, their log-odds."""
    return 1 if classes == 2 else classes


def buckets_for(classes: int) -> int:
    """Where none are asked for: as many as `MOST_BUCKETS`, fewer where the table would pass `MOST_VALUES`."""
    affordable = MOST_VALUES // columns_for(classes)
    return min(MOST_BUCKETS, 1 << (affordable.bit_length() - 1))


def as_logits(scores: Tensor) -> Tensor:
    """Float [n, classes] as it is; one column, the log-odds s of the second of two classes, as (-s/2, s/2)."""
    return torch.cat([-scores / 2, scores / 2], 1) if scores.shape[1] == 1 else scores
