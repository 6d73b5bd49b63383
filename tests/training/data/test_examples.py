"""The loader: an epoch is a function of its seed and position, alone and among processes."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.data.test_text import sample_texts
from training.data.examples import Loader, Subset, as_arrays, restart, seeded


def test_two_processes_see_what_one_with_the_doubled_batch_would() -> None:
    texts = sample_texts()
    whole = Loader(texts, 32, seed=0, training=True)
    halves = [Loader(texts, 16, seed=0, training=True, rank=rank, world=2) for rank in range(2)]
    for batch, *parts in zip(whole, *halves, strict=True):
        seen = torch.cat([nn.functional.pad(part["ids"], (0, 60 - part["ids"].shape[1])) for part in parts])
        assert torch.equal(seen, nn.functional.pad(batch["ids"], (0, 60 - batch["ids"].shape[1])))


@pytest.mark.parametrize(("training", "sizes"), [(True, [200, 200]), (False, [200, 200, 100])])
def test_an_incomplete_batch_is_dropped_in_training_alone(training: bool, sizes: list[int]) -> None:
    loader = Loader(sample_texts(), 200, seed=0, training=training)
    assert [len(batch["label"]) for batch in loader] == sizes
    assert len(loader) == len(sizes)


def test_a_subset_has_its_own_rows_alone() -> None:
    texts, rows = sample_texts(), torch.tensor([7, 2, 300])
    found = Subset(texts, rows)
    whole = texts.batch(rows, torch.Generator())
    (batch,) = Loader(found, 10, seed=0, training=False)
    assert all(torch.equal(batch[name], whole[name]) for name in whole)
    assert sorted(found.order(torch.Generator(), 1).tolist()) == [0, 1, 2]


def test_an_epoch_that_is_resumed_has_the_batches_that_were_left() -> None:
    loader = Loader(sample_texts(), 64, seed=3, training=True)
    for batch, again in zip(list(loader.epoch(2))[4:], loader.epoch(2, first=4), strict=True):
        assert torch.equal(batch["ids"], again["ids"])
    assert not torch.equal(next(loader.epoch(1))["label"], next(loader.epoch(2))["label"])


def test_each_part_of_a_seed_counts_and_so_does_their_order() -> None:
    draws = [torch.rand(3, generator=seeded(*parts)).tolist() for parts in ((0, 1), (1, 0), (1, 1), (0, 1))]
    assert draws[0] == draws[3]
    assert len({tuple(draw) for draw in draws}) == 3


def test_a_restart_repeats_the_draws_of_dropout() -> None:
    ones, drop = torch.ones(50), nn.Dropout(0.5)
    drawn = []
    for step in (1, 2, 1):
        restart(0, step)
        drawn.append(drop(ones))
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


def test_arrays_lie_in_one_piece() -> None:
    (array,) = as_arrays({"x": torch.arange(6).reshape(2, 3).T}).values()
    assert array.flags.c_contiguous
    assert np.array_equal(array, [[0, 3], [1, 4], [2, 5]])
