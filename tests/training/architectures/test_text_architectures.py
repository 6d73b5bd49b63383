"""Every text architecture, exported on random weights: ONNX Runtime gives what PyTorch gives, padded or not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inference.runtime.session import OrtSession
from training.architectures.bag import BagOfNgrams, hash_ngrams, log_count_ratio
from training.architectures.classifier import ClassifierGraph
from training.architectures.lstm import mirrored
from training.architectures.registry import architectures_for
from training.architectures.words import Words, masked_max, masked_mean
from training.release.export import export

WORDS = Words(vocabulary=500, length=64)
SMALL: dict[str, dict[str, Any]] = {
    "bag": {"buckets": 1 << 12},
    "textcnn": {"width": 16, "filters": 8},
    "lstm": {"width": 16, "hidden": 12},
    "gru": {"width": 16, "hidden": 12},
    "transformer": {"width": 16, "heads": 2},
}
ROUNDING = 2e-6


def random_ids(rows: int, length: int, seed: int = 0) -> Tensor:
    """Texts of every length up to `length`, one of them whole."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, WORDS.vocabulary, (rows, length), generator=generator)
    lengths = torch.randint(1, length + 1, (rows, 1), generator=generator)
    lengths[-1] = length
    return torch.where(torch.arange(length) < lengths, ids, 0)


def random_model(name: str, classes: int) -> nn.Module:
    torch.manual_seed(1)
    model = architectures_for("text")[name].build(WORDS, classes, **SMALL[name])
    if isinstance(model, BagOfNgrams):
        nn.init.normal_(model.weight)
        model.weigh([(random_ids(40, 30, seed=2), torch.arange(40) % classes)])
        return model.folded().eval()
    return model.eval()


class Exported:
    """A model of random weights and the session of its graph."""

    def __init__(self, name: str, folder: Path) -> None:
        self.model = ClassifierGraph(random_model(name, 3), temperature=1.5).eval()
        self.file = file = folder / f"{name}.onnx"
        export(
            self.model, {"ids": random_ids(3, 9)}, ("probabilities", "logits"), file, {"ids": {1: "length"}}
        )
        self.session = OrtSession(file, folder)

    def logits(self, ids: Tensor) -> Any:
        return self.session.run({"ids": ids.numpy()})["logits"]


@pytest.fixture(scope="module", params=SMALL)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(request.param, tmp_path_factory.mktemp("graphs"))


def test_every_text_architecture_is_proved_here() -> None:
    assert SMALL.keys() == architectures_for("text").keys()


@pytest.mark.slow
def test_graph_gives_what_pytorch_gives_at_every_size(exported: Exported) -> None:
    for rows, length in ((1, 1), (1, 2), (2, 3), (5, 17), (7, 64)):
        ids = random_ids(rows, length, seed=length)
        with torch.inference_mode():
            probabilities, logits = exported.model(ids)
        seen = exported.session.run({"ids": ids.numpy()})
        np.testing.assert_allclose(seen["logits"], logits.numpy(), atol=ROUNDING)
        np.testing.assert_allclose(seen["probabilities"], probabilities.numpy(), atol=ROUNDING)


@pytest.mark.slow
def test_graph_does_not_tell_where_it_was_made(exported: Exported) -> None:
    assert b".py" not in exported.file.read_bytes()


@pytest.mark.slow
def test_graph_gives_a_text_the_same_answer_alone_and_padded_in_a_batch(exported: Exported) -> None:
    ids = random_ids(6, 40, seed=5)
    wide = nn.functional.pad(ids, (0, WORDS.length - ids.shape[1]))
    batch = exported.logits(wide)
    for row, length in enumerate((ids != 0).sum(1).tolist()):
        alone = exported.logits(ids[row : row + 1, :length])
        np.testing.assert_allclose(batch[row : row + 1], alone, atol=ROUNDING)


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_learns(name: str) -> None:
    model = architectures_for("text")[name].build(WORDS, 4, **SMALL[name])
    logits = model(random_ids(4, 12))
    assert logits.shape == (4, 4)
    logits.square().sum().backward()
    assert not [key for key, parameter in model.named_parameters() if parameter.grad is None]


def test_ngram_has_one_bucket_wherever_it_stands_and_counts_once() -> None:
    ids = torch.tensor([[3, 4, 3, 4, 0], [9, 3, 4, 0, 0]])
    first, second = (set(row.tolist()) for row in hash_ngrams(ids, 2, 10_000))
    # 3, 4, 34 and 43 against 9, 3, 4, 93 and 34; and the bucket of no n-gram.
    assert (len(first), len(second), len(first & second)) == (5, 6, 4)
    counts = hash_ngrams(ids, 2, 10_000)[0].tolist()
    assert [counts.count(bucket) for bucket in first - {10_000}] == [1, 1, 1, 1]


def test_order_of_a_pair_matters() -> None:
    pair, reverse = (set(hash_ngrams(torch.tensor([ids]), 2, 10_000)[0].tolist()) for ids in ([3, 4], [4, 3]))
    assert len(pair ^ reverse) == 2


def test_hash_stays_in_range_for_the_largest_vocabulary() -> None:
    ids = torch.full((1, 4), 2**31 - 1)
    grams = hash_ngrams(ids, 3, 1 << 20)
    assert ((grams >= 0) & (grams <= 1 << 20)).all()


def test_log_count_ratio_is_that_of_the_paper() -> None:
    """Three texts of class 0 hold the first n-gram and one the second; of class 1, one and three."""
    ratio = log_count_ratio(torch.tensor([[3.0, 1.0, 0.0], [1.0, 3.0, 0.0]]), smoothing=1.0)
    expected = np.log((4 / 7) / (2 / 7))
    np.testing.assert_allclose(ratio, [[expected, -expected, 0], [-expected, expected, 0]], rtol=1e-6)


def test_untrained_bag_is_naive_bayes() -> None:
    bag = architectures_for("text")["bag"].build(WORDS, 2, buckets=1 << 12)
    assert isinstance(bag, BagOfNgrams)
    bag.weigh([(torch.tensor([[5, 5, 5], [6, 6, 6]]), torch.tensor([0, 1]))])
    assert bag(torch.tensor([[5], [6]])).argmax(1).tolist() == [0, 1]
    # What only padding holds adds nothing: a text of unseen words is undecided.
    assert bag(torch.tensor([[7, 8, 0]])).tolist() == [[0, 0]]


def test_folded_bag_is_the_same_function() -> None:
    bag = BagOfNgrams(3, longest=2, buckets=1 << 12, prior=0.4, dropout=0.5).eval()
    nn.init.normal_(bag.weight)
    ids = random_ids(5, 20)
    torch.testing.assert_close(bag.folded()(ids), bag(ids))


def test_mirror_turns_each_text_within_its_own_length() -> None:
    mask = torch.tensor([[True, True, True, False, False], [True] * 5])
    assert mirrored(mask).tolist() == [[2, 1, 0, 3, 4], [4, 3, 2, 1, 0]]


def test_pooling_does_not_see_padding() -> None:
    x = torch.tensor([[[1.0], [-3.0], [99.0]]])
    mask = torch.tensor([[True, True, False]])
    assert masked_max(x, mask).item() == 1
    assert masked_mean(x, mask).item() == -1
