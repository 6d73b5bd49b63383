"""Texts in memory: batches of like length, each text whole."""

import torch

from training.data.examples import Loader
from training.data.text import Texts


def sample_texts(rows: int = 500) -> Texts:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 60, (rows,), generator=generator).tolist()
    return Texts.of([str(n) for n in lengths], [[2] * n for n in lengths], [n % 2 for n in range(rows)])


def test_batch_holds_each_text_whole_and_zeros_after_it() -> None:
    texts = Texts.of(["x", "y z", "w"], [[5], [6, 7], [8]], [0, 1, 1])
    batch = texts.batch(torch.tensor([1, 2]), torch.Generator())
    assert batch["ids"].tolist() == [[6, 7], [8, 0]]
    assert batch["ids"].dtype == torch.int64
    assert batch["label"].tolist() == [1, 1]


def test_epoch_shows_every_text_once_in_batches_of_like_length() -> None:
    texts = sample_texts()
    order = texts.order(torch.Generator().manual_seed(0), 16)
    assert sorted(order.tolist()) == list(range(500))
    batches = [batch["ids"] for batch in Loader(texts, 16, seed=0, training=True)]
    shuffled = [texts.batch(rows, torch.Generator())["ids"] for rows in torch.split(torch.arange(496), 16)]
    cost, before = (sum(batch.numel() for batch in found) for found in (batches, shuffled))
    assert cost < 0.65 * before


def test_epochs_differ_and_are_functions_of_their_seed() -> None:
    texts = sample_texts()
    first, again, other = (texts.order(torch.Generator().manual_seed(n), 16) for n in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
