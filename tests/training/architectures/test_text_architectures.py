"""Every text architecture, exported on random weights: ONNX Runtime gives what PyTorch gives, padded or not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inference.runtime.session import OrtSession
from training.architectures.bag import BagOfNgrams
from training.architectures.base import TextNetwork
from training.architectures.classifier import ClassifierGraph
from training.architectures.registry import architectures_for
from training.architectures.words import Words
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
    model: TextNetwork = architectures_for("text")[name].build(WORDS, classes, **SMALL[name])
    if isinstance(model, BagOfNgrams):
        nn.init.normal_(model.weight)
    model.prepare([(random_ids(40, 30, seed=2), torch.arange(40) % classes)])
    return model.deployed().eval()


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
