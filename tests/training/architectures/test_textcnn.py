"""TextCNN: a filter answers to its n-gram wherever it stands."""

import torch

from tests.training.architectures.test_text_architectures import WORDS, random_ids
from training.architectures import text
from training.architectures.bag import BagOfNgrams
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


def test_a_bag_beside_the_filters_answers_half() -> None:
    torch.manual_seed(0)
    model = text.textcnn(WORDS, 3, width=8, filters=4, bag=1 << 10)
    model.prepare([(random_ids(20, 12, seed=1), torch.arange(20) % 3)])
    assert model.bag is not None
    ids = random_ids(6, 9)
    model.eval()
    alone = [model._filtered(ids), model.bag(ids)]
    torch.testing.assert_close(model(ids), (alone[0] + alone[1]) / 2)
    torch.testing.assert_close(model.deployed()(ids), model(ids))
    assert isinstance(model.bag, BagOfNgrams), "the model that goes on learning keeps its factors"


def test_each_text_is_learned_by_the_filters_or_by_the_bag() -> None:
    torch.manual_seed(0)
    model = text.textcnn(WORDS, 3, width=8, filters=4, bag=1 << 10, dropout=0.0).train()
    assert model.bag is not None
    model.bag.dropout.p = 0.0
    ids = random_ids(64, 9)
    mixed, filtered, linear = model(ids), model._filtered(ids), model.bag(ids)
    by_filters = (mixed == filtered).all(1)
    assert 16 < by_filters.sum() < 48
    assert (mixed[~by_filters] == linear[~by_filters]).all()


def test_a_new_head_has_the_bag_with_it() -> None:
    names = text.textcnn(WORDS, 3, width=8, filters=4, bag=1 << 10).head_names()
    assert {"head.weight", "bag.weight", "bag.ratio", "bag.bias"} <= names
